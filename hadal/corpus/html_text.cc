#include "hadal/corpus/html_text.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <vector>

#include "hadal/corpus/white_space.h"

namespace hadal {
namespace {

using TagNames = std::initializer_list<std::string_view>;

bool one_of(std::string_view word, TagNames words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

struct Tag {
  std::string name;
  bool closing = false, self_closing = false;
  std::string css_class, id, role;
};

// Elements that never have an end tag.
bool is_void(std::string_view name) {
  return one_of(name, {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta",
                       "param", "source", "track", "wbr"});
}

// Their content is text for the browser, not markup: it ends at the end tag and nowhere else.
bool is_raw(std::string_view name) {
  return one_of(name, {"script", "style", "textarea", "title"});
}

// Before and after these a line ends, or a blank line stands.
int lines_around(std::string_view name) {
  if (one_of(name, {"p", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "table", "ul", "ol", "dl",
                    "blockquote", "section", "article", "hr", "figure"})) {
    return 2;
  }
  if (one_of(name, {"div", "li", "tr", "dt", "dd", "br", "caption", "tbody", "thead", "main",
                    "figcaption", "address", "details", "summary", "center"})) {
    return 1;
  }
  return 0;
}

// Whether an element is furniture of the site rather than part of the text.
bool is_furniture(const Tag& tag) {
  if (one_of(tag.name,
             {"script", "style", "head", "nav", "noscript", "template", "form", "select", "button",
              "iframe", "svg", "object", "audio", "video", "textarea", "title"})) {
    return true;
  }
  if (one_of(tag.role, {"navigation", "search", "contentinfo", "banner"})) return true;
  if (one_of(tag.id, {"hd", "ft", "global-nav", "sidebar", "searchbox", "navigation"})) return true;
  // Class names of the generators behind most documentation: DocBook, Sphinx, Doxygen, asciidoc.
  const std::string& all = tag.css_class;
  for (size_t begin = 0; begin < all.size();) {
    const size_t end = std::min(all.find(' ', begin), all.size());
    if (one_of(std::string_view(all).substr(begin, end - begin),
               {"navheader",   "navfooter",  "nosearch",  "sphinxsidebar",   "related",
                "footer",      "headerlink", "toc",       "toctree-wrapper", "contents",
                "navigation",  "navbar",     "indexterm", "mobile-nav",      "breadcrumb",
                "breadcrumbs", "menu",       "linenos",   "noprint",         "skip-link",
                "editsection"})) {
      return true;
    }
    begin = end + 1;
  }
  return false;
}

class Extractor {
 public:
  explicit Extractor(std::string_view html) : html_(html) {
    // A page that marks its main part says what is text.
    has_main_ = html.find("role=\"main\"") != std::string_view::npos ||
                html.find("<main") != std::string_view::npos;
  }

  std::string run() {
    size_t at = 0;
    while (at < html_.size()) {
      const size_t open = html_.find('<', at);
      text(html_.substr(at, open - at));
      if (open == std::string_view::npos) break;
      at = markup(open);
    }
    while (!out_.empty() && is_space(out_.back())) out_.pop_back();
    if (!out_.empty()) out_ += '\n';
    return std::move(out_);
  }

 private:
  struct Open {
    std::string name;
    bool furniture, preformatted, main;
  };

  // Handles what begins with '<' at `open`; returns where the text goes on.
  size_t markup(size_t open) {
    if (html_.substr(open).starts_with("<!--")) return after("-->", open + 4);
    const char next = open + 1 < html_.size() ? html_[open + 1] : ' ';
    if (next == '!' || next == '?') return after(">", open);
    if (next != '/' && !std::isalpha(static_cast<unsigned char>(next))) {
      text("<");
      return open + 1;
    }
    Tag tag;
    const size_t end = parse_tag(open, tag);
    if (tag.closing) {
      close(tag.name);
    } else {
      begin(tag);
      if (is_raw(tag.name) && !tag.self_closing) return after_raw(tag.name, end);
    }
    return end;
  }

  size_t after(std::string_view mark, size_t from) const {
    const size_t found = html_.find(mark, from);
    return found == std::string_view::npos ? html_.size() : found + mark.size();
  }

  size_t after_raw(const std::string& name, size_t from) {
    for (size_t at = from; (at = html_.find("</", at)) != std::string_view::npos; at += 2) {
      if (lower(html_.substr(at + 2, name.size())) == name) {
        close(name);
        return after(">", at);
      }
    }
    return html_.size();
  }

  size_t parse_tag(size_t open, Tag& tag) const {
    size_t at = open + 1;
    if (html_[at] == '/') {
      tag.closing = true;
      ++at;
    }
    const auto skip = [&](auto wanted) {
      const size_t begin = at;
      while (at < html_.size() && wanted(html_[at])) ++at;
      return html_.substr(begin, at - begin);
    };
    tag.name = lower(skip([](char c) { return !is_space(c) && c != '>' && c != '/'; }));
    while (at < html_.size() && html_[at] != '>') {
      if (html_[at] == '/' || is_space(html_[at])) {
        tag.self_closing = html_[at] == '/';
        ++at;
        continue;
      }
      tag.self_closing = false;
      const std::string key =
          lower(skip([](char c) { return !is_space(c) && c != '=' && c != '>' && c != '/'; }));
      skip(is_space);
      std::string_view value;
      if (at < html_.size() && html_[at] == '=') {
        ++at;
        skip(is_space);
        if (at < html_.size() && (html_[at] == '"' || html_[at] == '\'')) {
          const char quote = html_[at++];
          value = skip([quote](char c) { return c != quote; });
          if (at < html_.size()) ++at;
        } else {
          value = skip([](char c) { return !is_space(c) && c != '>'; });
        }
      } else if (key.empty()) {
        ++at;  // a stray character
      }
      if (key == "class") tag.css_class = lower(value);
      if (key == "id") tag.id = lower(value);
      if (key == "role") tag.role = lower(value);
    }
    return std::min(at + 1, html_.size());
  }

  void begin(const Tag& tag) {
    const bool furniture = is_furniture(tag);
    if (!furniture && visible()) block(tag.name);
    if (is_void(tag.name) || tag.self_closing) return;
    const bool main = tag.name == "main" || tag.role == "main";
    open_.push_back({tag.name, furniture, tag.name == "pre", main});
    ++open_count_[tag.name];
    count(open_.back(), 1);
    if (tag.name == "li" && visible()) {
      out_ += "- ";
      at_word_ = false;
    }
  }

  // Ends the innermost element of that name and all that were left open inside it. An end tag
  // without a beginning is ignored, so every element is pushed and popped once.
  void close(const std::string& name) {
    const auto found = open_count_.find(name);
    if (found == open_count_.end() || found->second == 0) return;
    for (;;) {
      const Open last = std::move(open_.back());
      open_.pop_back();
      --open_count_[last.name];
      count(last, -1);
      if (last.name == name) break;
    }
    if (visible()) block(name);
  }

  void count(const Open& element, int by) {
    furniture_ += element.furniture ? by : 0;
    preformatted_ += element.preformatted ? by : 0;
    main_ += element.main ? by : 0;
  }

  bool visible() const { return furniture_ == 0 && (!has_main_ || main_ > 0); }

  void block(std::string_view name) {
    if (name == "td" || name == "th") {
      if (!out_.empty() && !is_space(out_.back())) out_ += ' ';
      at_word_ = false;
      return;
    }
    lines(lines_around(name));
  }

  // At least `n` line ends stand at the end of what was written.
  void lines(int n) {
    if (n == 0) return;
    at_word_ = false;
    while (!out_.empty() && (out_.back() == ' ' || out_.back() == '\t')) out_.pop_back();
    if (out_.empty() || out_ == "-") return;
    if (out_.ends_with("\n-")) {  // a list item whose content is a block of its own
      out_ += ' ';
      return;
    }
    int have = 0;
    while (have < 2 && static_cast<size_t>(have) < out_.size() &&
           out_[out_.size() - 1 - static_cast<size_t>(have)] == '\n') {
      ++have;
    }
    for (; have < n; ++have) out_ += '\n';
  }

  void text(std::string_view raw) {
    if (raw.empty() || !visible()) return;
    const std::string decoded = decode_html_entities(raw);
    if (preformatted_ > 0) {
      out_ += decoded;
      at_word_ = false;
      return;
    }
    for (const char c : decoded) {
      if (!is_space(c)) {
        out_ += c;
        at_word_ = true;
      } else if (at_word_) {
        out_ += ' ';
        at_word_ = false;
      }
    }
  }

  std::string_view html_;
  bool has_main_ = false;
  std::string out_;
  bool at_word_ = false;  // the last thing written is a visible character of running text
  std::vector<Open> open_;
  std::map<std::string, int64_t> open_count_;
  int64_t furniture_ = 0, preformatted_ = 0, main_ = 0;  // open elements of each kind
};

}  // namespace

std::string html_text(std::string_view html) { return Extractor(html).run(); }

}  // namespace hadal
