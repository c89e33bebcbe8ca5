#include "hadal/corpus/pod_text.h"

#include <algorithm>
#include <charconv>
#include <utility>
#include <vector>

#include "hadal/core/error.h"
#include "hadal/core/utf8.h"

namespace hadal {
namespace {

// E<lt>, E<0x263A>, E<181>
void append_escape(std::string& out, std::string_view name) {
  constexpr std::pair<std::string_view, uint32_t> kNames[] = {
      {"lt", '<'},      {"gt", '>'},      {"verbar", '|'}, {"sol", '/'},
      {"eacute", 0xE9}, {"auml", 0xE4},   {"ouml", 0xF6},  {"uuml", 0xFC},
      {"szlig", 0xDF},  {"oslash", 0xF8}, {"laquo", 0xAB}, {"raquo", 0xBB}};
  for (const auto& [key, value] : kNames) {
    if (key == name) return append_utf8(out, value);
  }
  const bool hexadecimal = name.starts_with("0x");
  const std::string_view digits = name.substr(hexadecimal ? 2 : 0);
  uint32_t value = 0;
  const auto result =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, hexadecimal ? 16 : 10);
  if (result.ec == std::errc() && result.ptr == digits.data() + digits.size() && value > 0) {
    append_utf8(out, value);
  }
}

// What a reader sees of L<text|target>, L<page/section>, L<url>.
std::string link_text(std::string_view link) {
  if (const size_t bar = link.find('|'); bar != std::string_view::npos) {
    return std::string(link.substr(0, bar));
  }
  if (link.find("://") != std::string_view::npos) return std::string(link);
  const size_t slash = link.find('/');
  std::string_view section = slash == std::string_view::npos ? "" : link.substr(slash + 1);
  if (section.size() > 1 && section.front() == '"' && section.back() == '"') {
    section = section.substr(1, section.size() - 2);
  }
  const std::string_view page = link.substr(0, slash);
  if (section.empty()) return std::string(page);
  return concat('"', section, '"', page.empty() ? "" : " in ", page);
}

// One paragraph without its formatting codes. A stack of open codes, so depth is only memory.
std::string without_codes(std::string_view text) {
  struct Code {
    char kind;
    size_t brackets;
    std::string content;
  };
  std::vector<Code> open{{' ', 0, ""}};
  for (size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (c >= 'A' && c <= 'Z' && at + 1 < text.size() && text[at + 1] == '<') {
      size_t brackets = std::min(text.find_first_not_of('<', at + 1), text.size()) - at - 1;
      const size_t end = at + 1 + brackets;
      const bool spaced = end < text.size() && (text[end] == ' ' || text[end] == '\n');
      if (!spaced) brackets = 1;  // C<<x>: only C<< x >> is the long form
      open.push_back({c, brackets, ""});
      at += 1 + brackets + (brackets > 1 ? 1 : 0);
      continue;
    }
    Code& code = open.back();
    const bool closes =
        open.size() > 1 && c == '>' &&
        text.substr(at, code.brackets) == std::string(code.brackets, '>') &&
        (code.brackets == 1 || code.content.ends_with(' ') || code.content.ends_with('\n'));
    if (!closes) {
      code.content += c;
      ++at;
      continue;
    }
    at += code.brackets;
    Code done = std::move(code);
    open.pop_back();
    if (done.brackets > 1 && !done.content.empty()) done.content.pop_back();
    std::string& out = open.back().content;
    switch (done.kind) {
      case 'X':  // an index entry
      case 'Z':
        break;
      case 'E':
        append_escape(out, done.content);
        break;
      case 'L':
        out += link_text(done.content);
        break;
      default:
        out += done.content;
    }
  }
  std::string out;
  for (const Code& code : open) out += code.content;  // codes left open show what they hold
  return out;
}

}  // namespace

std::string pod_text(std::string_view pod) {
  std::string out;
  std::string_view skipped_until;  // "=end" or "=cut": not text
  for (size_t at = 0; at < pod.size();) {
    // A paragraph: up to a blank line.
    const size_t end = std::min(pod.find("\n\n", at), pod.size());
    std::string_view paragraph = pod.substr(at, end - at);
    at = end + 2;
    while (!paragraph.empty() && paragraph.front() == '\n') paragraph.remove_prefix(1);
    while (!paragraph.empty() && paragraph.back() == '\n') paragraph.remove_suffix(1);
    if (paragraph.empty()) continue;
    if (paragraph.front() != '=') {
      if (!skipped_until.empty()) continue;
      // Indented paragraphs are verbatim.
      const bool verbatim = paragraph.front() == ' ' || paragraph.front() == '\t';
      std::string text = verbatim ? std::string(paragraph) : without_codes(paragraph);
      if (!verbatim) std::replace(text.begin(), text.end(), '\n', ' ');
      if (text.find_first_not_of(" \t\n") != std::string::npos) out += text + "\n\n";
      continue;
    }
    const size_t word_end = std::min(paragraph.find_first_of(" \t\n"), paragraph.size());
    const std::string_view command = paragraph.substr(0, word_end);
    const size_t begin = paragraph.find_first_not_of(" \t\n", word_end);
    std::string content =
        begin == std::string_view::npos ? "" : without_codes(paragraph.substr(begin));
    while (!content.empty() && (content.back() == ' ' || content.back() == '\n'))
      content.pop_back();
    if (command == "=begin") {
      skipped_until = "=end";
    } else if (command == "=cut") {
      skipped_until = "=";  // code until any other command
    } else if (command == skipped_until || skipped_until == "=") {
      skipped_until = {};
    }
    if (!skipped_until.empty()) continue;
    if (command.starts_with("=head") && !content.empty()) out += content + "\n\n";
    if (command == "=item")
      out += (content.empty() || content == "*" ? "-" : "- " + content) + "\n\n";
  }
  while (!out.empty() && out.back() == '\n') out.pop_back();
  if (!out.empty()) out += '\n';
  return out;
}

}  // namespace hadal
