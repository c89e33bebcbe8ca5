#include "hadal/core/in_quotes.h"

namespace hadal {

std::string one_line(std::string_view text, size_t longest) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string result;
  for (const char c : text.substr(0, longest)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) {
      result += "\\x";
      result += kHex[byte >> 4];
      result += kHex[byte & 15];
    } else {
      result += c;
    }
  }
  return text.size() > longest ? result + "..." : result;
}

std::string in_quotes(std::string_view text) { return "\"" + one_line(text, 100) + "\""; }

}  // namespace hadal
