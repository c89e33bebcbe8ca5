#include "hadal/plan/svg_text.h"

#include <cstdio>

namespace hadal {
namespace {

template <class... Values>
std::string format(const char* pattern, Values... values) {
  char text[48];
  std::snprintf(text, sizeof text, pattern, values...);
  return text;
}

}  // namespace

std::string svg_number(double value) {
  std::string text = format("%.2f", value);
  while (text.back() == '0') text.pop_back();
  if (text.back() == '.') text.pop_back();
  return text == "-0" ? "0" : text;
}

std::string svg_text(std::string_view text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      default:
        if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7F) result += c;
    }
  }
  return result;
}

std::string percent(double share) { return format("%.1f %%", 100 * share); }

}  // namespace hadal
