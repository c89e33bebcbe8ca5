#include "hadal/core/number_text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string_view>

#include "hadal/core/error.h"

namespace hadal {
namespace {

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

std::string printed(const char* pattern, double value) {
  char text[64];
  std::snprintf(text, sizeof text, pattern, value);
  return text;
}

std::string plain_number(double value) {
  const bool whole = std::nearbyint(value) == value && std::abs(value) < 1e15;
  return printed(whole ? "%.0f" : "%.6g", value == 0 ? 0.0 : value);
}

std::string percent(double share) { return printed("%.1f %%", 100 * share); }

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
    return (small_whole              ? plain_number(value)
            : std::abs(value) < 0.01 ? printed("%.3g", value)
                                     : significant(value, 4)) +
           tail;
  }
  return significant(value / scale.factor, 4) + scale.prefix + tail;
}

std::string human_bytes(double bytes) {
  static constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB", "PB"};
  size_t unit = 0;
  while (std::abs(bytes) >= 999.5 && unit + 1 < std::size(kUnits)) {
    bytes /= 1000;
    ++unit;
  }
  return printed(unit == 0 || bytes >= 99.95 ? "%.0f " : "%.1f ", bytes) + kUnits[unit];
}

std::string human_count(double count) {
  static constexpr const char* kUnits[] = {"", "K", "M", "B", "T"};
  size_t unit = 0;
  while (std::abs(count) >= 999.5 && unit + 1 < std::size(kUnits)) {
    count /= 1000;
    ++unit;
  }
  return printed(unit == 0 ? "%.0f" : count >= 99.95 ? "%.0f" : "%.1f", count) + kUnits[unit];
}

std::string human_seconds(double seconds) {
  const int64_t whole = std::llround(std::max(0.0, seconds));
  char text[48];
  if (whole >= 3600) {
    std::snprintf(text, sizeof(text), "%lld h %02lld min", static_cast<long long>(whole / 3600),
                  static_cast<long long>(whole / 60 % 60));
  } else if (whole >= 60) {
    std::snprintf(text, sizeof(text), "%lld min %02lld s", static_cast<long long>(whole / 60),
                  static_cast<long long>(whole % 60));
  } else {
    std::snprintf(text, sizeof(text), "%lld s", static_cast<long long>(whole));
  }
  return text;
}

}  // namespace hadal
