// plan/svg_text.h: numbers and text as SVG wants them.
#pragma once

#include <string>
#include <string_view>

namespace hadal {

// At most two decimals, no zeros at the end: 12.5, -3, 0.25. Coordinates need no more.
std::string svg_number(double value);

// Escapes & < > " and drops what XML forbids (control characters), so that a name from a file can
// stand in text and attributes.
std::string svg_text(std::string_view text);

// 0.0909 -> "9.1 %"
std::string percent(double share);

}  // namespace hadal
