#include "hadal/corpus/man_text.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "hadal/core/joined.h"
#include "hadal/corpus/white_space.h"

namespace hadal {
namespace {

constexpr std::pair<std::string_view, std::string_view> kGlyphs[] = {
    {"aq", "'"},  {"dq", "\""}, {"lq", "“"}, {"rq", "”"}, {"oq", "‘"}, {"cq", "’"}, {"bu", "•"},
    {"em", "—"},  {"en", "–"},  {"hy", "-"}, {"co", "©"}, {"ha", "^"}, {"ti", "~"}, {"ga", "`"},
    {"rs", "\\"}, {"mu", "×"},  {"->", "→"}, {"<=", "≤"}, {">=", "≥"}, {"+-", "±"}, {"sl", "/"},
    {"at", "@"},  {"sh", "#"},  {"Do", "$"}, {"ba", "|"}, {"eu", "€"}, {"de", "°"}, {"or", "|"}};

constexpr std::pair<std::string_view, std::string_view> kStrings[] = {
    {"Aq", "'"}, {"L\"", "\""}, {"R\"", "\""}, {"C`", ""},  {"C'", ""}, {"lq", "“"},
    {"rq", "”"}, {"--", "—"},   {"R", "®"},    {"Tm", "™"}, {"S", ""},  {"PI", "π"}};

template <class Table>
std::string_view look_up(const Table& table, std::string_view name) {
  for (const auto& [key, value] : table) {
    if (key == name) return value;
  }
  return {};
}

// The name after an escape: one character, (xx, or [name]. Advances `at` past it.
std::string_view escape_name(std::string_view line, size_t& at) {
  if (at >= line.size()) return {};
  size_t begin = at, length = 1;
  if (line[at] == '(') {
    begin = at + 1;
    length = 2;
    at = begin + length;
  } else if (line[at] == '[') {
    begin = at + 1;
    length = std::min(line.find(']', begin), line.size()) - begin;
    at = begin + length + 1;
  } else {
    at += 1;
  }
  at = std::min(at, line.size());
  return line.substr(std::min(begin, line.size()), length);
}

std::string without_escapes(std::string_view line) {
  std::string out;
  for (size_t at = 0; at < line.size();) {
    if (line[at] != '\\') {
      out += line[at++];
      continue;
    }
    if (++at == line.size()) break;
    const char kind = line[at++];
    switch (kind) {
      case '"':  // a comment to the end of the line
      case '#':
        return out;
      case 'f':
      case 'F':
      case 'n':
      case 'k':
      case 'm':
      case 'M':
        escape_name(line, at);
        break;
      case 's':  // \s-1, \s0, \s(10
        if (at < line.size() && (line[at] == '-' || line[at] == '+')) ++at;
        escape_name(line, at);
        break;
      case '*':
        out += look_up(kStrings, escape_name(line, at));
        break;
      case '(':
      case '[':
        --at;
        out += look_up(kGlyphs, escape_name(line, at));
        break;
      case 'h':
      case 'v':
      case 'w':
      case 'o':
      case 'z':
      case 'D':
      case 'L':
      case 'l':
      case 'X':
        if (at < line.size()) {  // \h'0.3m'
          const size_t end = line.find(line[at], at + 1);
          at = end == std::string_view::npos ? line.size() : end + 1;
        }
        break;
      case 'e':
      case '\\':
        out += '\\';
        break;
      case '-':
        out += '-';
        break;
      case ' ':
      case '~':
      case '0':
        out += ' ';
        break;
      case '\'':
      case '`':
      case '.':
        out += kind;
        break;
      default:  // \& \| \^ \/ \, \: \% \c \{ \}: nothing to see
        break;
    }
  }
  return out;
}

std::vector<std::string> arguments(std::string_view line) {
  std::vector<std::string> result;
  for (size_t at = 0; at < line.size();) {
    if (line[at] == ' ' || line[at] == '\t') {
      ++at;
      continue;
    }
    std::string word;
    if (line[at] == '"') {
      for (++at; at < line.size(); ++at) {
        if (line[at] == '"' && (at + 1 >= line.size() || line[at + 1] != '"')) break;
        if (line[at] == '"') ++at;
        word += line[at];
      }
      ++at;
    } else {
      while (at < line.size() && line[at] != ' ' && line[at] != '\t') {
        word += line[at++];
        if (word.back() == '\\' && at < line.size()) word += line[at++];  // "\ " joins words
      }
    }
    if (word.starts_with("\\\"")) break;
    result.push_back(without_escapes(word));
  }
  return result;
}

class ManPage {
 public:
  std::string run(std::string_view roff) {
    std::string whole;  // a line and those that a backslash at its end joins to it
    for (size_t at = 0; at < roff.size();) {
      const size_t end = std::min(roff.find('\n', at), roff.size());
      whole += roff.substr(at, end - at);
      at = end + 1;
      if (!whole.empty() && whole.back() == '\r') whole.pop_back();
      if (whole.ends_with('\\') && !whole.ends_with("\\\\") && at < roff.size()) {
        whole.pop_back();
        continue;
      }
      line(whole);
      whole.clear();
    }
    while (!out_.empty() && is_space(out_.back())) out_.pop_back();
    if (!out_.empty()) out_ += '\n';
    return std::move(out_);
  }

 private:
  void line(std::string_view text) {
    if (in_definition_) {  // .de NAME ... ..
      in_definition_ = text != "..";
      return;
    }
    // .if ... \{ ... \} holds setup code in manual pages, never text.
    const bool request = !text.empty() && (text[0] == '.' || text[0] == '\'');
    const bool was_inside = braces_ > 0;
    if (request || was_inside) {
      for (size_t i = 0; i + 1 < text.size(); ++i) {
        if (text[i] == '\\' && text[i + 1] == '{') ++braces_;
        if (text[i] == '\\' && text[i + 1] == '}') --braces_;
      }
      braces_ = std::max(braces_, 0);
    }
    if (was_inside || (request && braces_ > 0)) return;
    if (request) {
      macro(text.substr(1));
    } else if (!text.starts_with("\\\"")) {
      put(without_escapes(text));
    }
  }

  void macro(std::string_view text) {
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    const size_t end = std::min(text.find_first_of(" \t"), text.size());
    const std::string_view name = text.substr(0, end);
    const auto is = [&](std::initializer_list<std::string_view> names) {
      return std::find(names.begin(), names.end(), name) != names.end();
    };
    if (is({"de", "de1", "am", "ig"})) {
      in_definition_ = true;
      return;
    }
    const std::vector<std::string> words = arguments(text.substr(end));
    if (is({"SH", "SS", "Sh", "Ss"})) {
      blank_line();
      out_ += joined(words, " ") + "\n";
    } else if (is({"PP", "P", "LP", "Pp", "sp", "HP"})) {
      blank_line();
    } else if (is({"B", "I", "SM", "SB"})) {
      put(joined(words, " "));
    } else if (is({"BR", "RB", "BI", "IB", "RI", "IR"})) {
      put(joined(words, ""));
    } else if (is({"TP", "TQ"})) {
      blank_line();
      tag_ = true;
    } else if (is({"IP", "It"})) {
      blank_line();
      if (!words.empty() && words.front() == "•") {
        out_ += "- ";  // its text follows on the same line
      } else if (!words.empty()) {
        tag_ = true;
        put(words.front());
      }
    } else if (is({"nf", "EX", "Vb", "Bd"})) {
      new_line();
      preformatted_ = true;
    } else if (is({"fi", "EE", "Ve", "Ed"})) {
      new_line();
      preformatted_ = false;
    } else if (is({"br"})) {
      new_line();
    } else if (is({"UR", "MT", "Nm", "Nd", "Fl", "Ar", "Cm", "Pa", "Xr", "Em", "Sy", "Li", "Ql",
                   "Dq", "Sq", "Fn", "Ft", "Fa", "Va", "Vt", "Dv", "Er", "Ev", "Ic", "Op"})) {
      put(joined(words, " "));
    }
  }

  void new_line() {
    if (!out_.empty() && out_.back() == ' ') out_.pop_back();
    if (!out_.empty() && out_.back() != '\n') out_ += '\n';
  }
  void blank_line() {
    new_line();
    if (!out_.empty() && !out_.ends_with("\n\n")) out_ += '\n';
  }
  // A line of the source: a line of the text where lines are kept, else some words of a paragraph.
  void put(std::string_view text) {
    if (text.empty() && !preformatted_) return blank_line();
    if (!preformatted_ && text.front() == ' ') new_line();
    out_ += text;
    out_ += preformatted_ || tag_ ? '\n' : ' ';
    tag_ = false;
  }

  std::string out_;
  bool in_definition_ = false, preformatted_ = false;
  bool tag_ = false;  // the next words are the tag of a list item, on a line of their own
  int braces_ = 0;
};

}  // namespace

bool looks_like_manual(std::string_view text) {
  for (int line = 0; line < 5 && !text.empty(); ++line) {
    if (text[0] == '.' || text.starts_with("'\\\"") || text.starts_with("\\\"")) return true;
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return false;
}

std::string man_text(std::string_view roff) { return ManPage().run(roff); }

}  // namespace hadal
