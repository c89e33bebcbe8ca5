#include "hadal/draw/svg.h"

#include "hadal/core/number_text.h"

namespace hadal {
namespace {

std::string opened(std::string_view name, SvgAttributes attributes) {
  std::string text = "<";
  text += name;
  for (const SvgAttribute& attribute : attributes) {
    text += ' ';
    text += attribute.name;
    text += "=\"";
    text += attribute.value;
    text += '"';
  }
  return text;
}

}  // namespace

std::string svg_number(double value) {
  std::string text = printed("%.2f", value);
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

std::string svg_element(std::string_view name, SvgAttributes attributes) {
  return opened(name, attributes) + "/>";
}

std::string svg_element(std::string_view name, SvgAttributes attributes, std::string_view inner) {
  std::string text = opened(name, attributes) + ">";
  text += inner;
  text += "</";
  text += name;
  text += '>';
  return text;
}

std::string svg_title(std::string_view text) { return svg_element("title", {}, svg_text(text)); }

}  // namespace hadal
