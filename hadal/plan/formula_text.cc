#include "hadal/plan/formula_text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <string_view>

#include "hadal/core/error.h"

namespace hadal {
namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Calls on_name for identifiers and on_other for everything between them.
template <class OnName, class OnOther>
void scan(const std::string& text, const OnName& on_name, const OnOther& on_other) {
  for (size_t i = 0; i < text.size();) {
    const size_t begin = i;
    if (is_letter(text[i])) {
      while (i < text.size() && (is_letter(text[i]) || is_digit(text[i]))) ++i;
      on_name(text.substr(begin, i - begin));
      continue;
    }
    if (is_digit(text[i]) || text[i] == '.') {  // a number, with its exponent
      while (i < text.size() && (is_digit(text[i]) || text[i] == '.')) ++i;
      if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
        ++i;
        if (i < text.size() && (text[i] == '+' || text[i] == '-')) ++i;
        while (i < text.size() && is_digit(text[i])) ++i;
      }
    } else {
      ++i;
    }
    on_other(text.substr(begin, i - begin));
  }
}

// `digits` significant digits without an exponent: 1234.5 -> "1234", 12.345 -> "12.35".
std::string significant(double value, int digits) {
  const double size = std::abs(value);
  const int before = size < 1 ? 1 : static_cast<int>(std::floor(std::log10(size))) + 1;
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", std::clamp(digits - before, 0, 6), value);
  return text;
}

struct Scale {
  double factor;
  const char* prefix;
};
// Decimal prefixes before the unit, or behind the number where people say thousand and million.
constexpr std::array<Scale, 7> kPrefixes = {
    {{1e18, "E"}, {1e15, "P"}, {1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}, {1, ""}}};
constexpr std::array<Scale, 5> kCounts = {
    {{1e12, "T"}, {1e9, "B"}, {1e6, "M"}, {1e3, "K"}, {1, ""}}};

// The first scale that leaves at least `least` before the point.
template <size_t N>
Scale scale_for(double value, const std::array<Scale, N>& scales, double least) {
  for (const Scale& scale : scales) {
    if (std::abs(value) >= least * scale.factor) return scale;
  }
  return scales.back();
}

bool begins_with_unit(std::string_view unit, std::string_view base) {
  return unit == base || (unit.starts_with(base) && unit[base.size()] == '/');
}

std::string human_time(double seconds) {
  const double size = std::abs(seconds);
  if (size == 0 || size >= 1) return significant(seconds, 4) + " s";
  if (size >= 1e-3) return significant(seconds * 1e3, 4) + " ms";
  return significant(seconds * 1e6, 4) + " us";
}

}  // namespace

std::vector<std::string> names_in(const std::string& expression) {
  std::vector<std::string> names;
  scan(
      expression,
      [&](const std::string& name) {
        if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
      },
      [](const std::string&) {});
  return names;
}

std::string replace_names(const std::string& expression,
                          const std::function<std::string(const std::string&)>& text_of) {
  std::string result;
  scan(
      expression,
      [&](const std::string& name) {
        const std::string text = text_of(name);
        result += text.empty() ? name : text;
      },
      [&](const std::string& other) { result += other; });
  return result;
}

std::string plain_number(double value) {
  char text[64];
  const bool whole = std::nearbyint(value) == value && std::abs(value) < 1e15;
  std::snprintf(text, sizeof text, whole ? "%.0f" : "%.6g", value == 0 ? 0.0 : value);
  return text;
}

std::string human_quantity(double value, const std::string& unit) {
  if (unit == "fraction") return significant(value * 100, 4) + " %";
  if (unit == "s") return human_time(value);
  for (const char* base : {"B", "FLOP"}) {
    if (!begins_with_unit(unit, base)) continue;
    const Scale scale = scale_for(value, kPrefixes, 1);
    return concat(scale.factor == 1 ? plain_number(value) : significant(value / scale.factor, 4),
                  " ", scale.prefix, unit);
  }
  const std::string tail = unit.empty() ? "" : " " + unit;
  // Thousands of hours and of money stay thousands ("2664K"): that is how they are published.
  const bool hours = unit.starts_with("GPU-hours");
  const Scale scale = hours ? scale_for(value, std::array<Scale, 2>{{{1e3, "K"}, {1, ""}}}, 1)
                            : scale_for(value, kCounts, 1);
  const bool small_whole = std::nearbyint(value) == value && std::abs(value) < 1e5;
  if (scale.factor == 1 || (small_whole && !hours)) {
    char tiny[32];
    std::snprintf(tiny, sizeof tiny, "%.3g", value);
    return (small_whole              ? plain_number(value)
            : std::abs(value) < 0.01 ? tiny
                                     : significant(value, 4)) +
           tail;
  }
  return significant(value / scale.factor, 4) + scale.prefix + tail;
}

}  // namespace hadal
