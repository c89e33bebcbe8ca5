// draw/svg.h: the one writer of SVG: an element is text, made of its attributes in the order given
// and of what stands inside. Every picture of this room is put together from these.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

namespace hadal {

// At most two decimals, no zeros at the end: 12.5, -3, 0.25. Coordinates need no more.
std::string svg_number(double value);

// Escapes & < > " and drops what XML forbids (control characters), so that a name from a file can
// stand in text and attributes.
std::string svg_text(std::string_view text);

struct SvgAttribute {
  SvgAttribute(std::string_view name_, double number) : name(name_), value(svg_number(number)) {}
  SvgAttribute(std::string_view name_, std::string_view text)
      : name(name_), value(svg_text(text)) {}
  std::string_view name;
  std::string value;
};
using SvgAttributes = std::initializer_list<SvgAttribute>;

// <name .../>
std::string svg_element(std::string_view name, SvgAttributes attributes);
// <name ...>inner</name>; `inner` is SVG already.
std::string svg_element(std::string_view name, SvgAttributes attributes, std::string_view inner);
// What a pointer that rests on an element is told; stands inside it.
std::string svg_title(std::string_view text);

}  // namespace hadal
