#include "hadal/core/in_quotes.h"

#include <algorithm>

#include "hadal/core/utf8.h"

namespace hadal {
namespace {

// Bytes of the character at text[at] that may be shown as it is; 0 if it may not.
size_t shown_length(std::string_view text, size_t at) {
  const auto length = static_cast<size_t>(utf8_character_length(text, at));
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[at + i]); };
  if (length == 1) return byte(0) >= 0x20 && byte(0) != 0x7F ? 1 : 0;
  if (length == 2 && byte(0) == 0xC2 && byte(1) < 0xA0) return 0;  // C1: 9B begins a sequence
  // U+200E, 200F, 2028 to 202E, 2066 to 2069: marks of direction, separators of lines.
  if (length == 3 && byte(0) == 0xE2) {
    if (byte(1) == 0x80 && (byte(2) == 0x8E || byte(2) == 0x8F)) return 0;
    if (byte(1) == 0x80 && byte(2) >= 0xA8 && byte(2) <= 0xAE) return 0;
    if (byte(1) == 0x81 && byte(2) >= 0xA6 && byte(2) <= 0xA9) return 0;
  }
  return length;
}

bool is_harmless(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const size_t length = shown_length(text, at);
    if (length == 0) return false;
    at += length;
  }
  return true;
}

// Of valid text, where a character begins.
size_t character_at_or_after(std::string_view text, size_t at) {
  while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) ++at;
  return at;
}

}  // namespace

std::string one_line(std::string_view text, size_t longest) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string result;
  for (size_t at = 0; at < text.size();) {
    const size_t length = std::max<size_t>(shown_length(text, at), 1);
    if (at + length > longest) return result + "...";
    if (shown_length(text, at) > 0) {
      result += text.substr(at, length);
    } else {
      const auto byte = static_cast<unsigned char>(text[at]);
      result += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    }
    at += length;
  }
  return result;
}

std::string in_quotes(std::string_view text) { return "\"" + one_line(text, 100) + "\""; }

std::string harmless_line(std::string text) {
  if (text.size() <= kLongestLine && is_harmless(text)) return text;
  for (char& c : text) {
    if (c == '\n' || c == '\r' || c == '\t') c = ' ';
  }
  constexpr size_t kHead = kLongestLine * 3 / 4, kTail = kLongestLine - kHead - 5;
  std::string line = one_line(text, text.size());
  if (line.size() <= kLongestLine) return line;
  return line.substr(0, utf8_boundary_at_or_before(line, kHead)) + " ... " +
         line.substr(character_at_or_after(line, line.size() - kTail));
}

}  // namespace hadal
