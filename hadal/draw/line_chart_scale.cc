// Ticks of the axes of a line chart, and their texts.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "hadal/draw/line_chart.h"

namespace hadal {

std::vector<double> linear_ticks(double low, double high, int about) {
  const double rough = (high - low) / std::max(about, 1);
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  const double step = rough <= power       ? power
                      : rough <= 2 * power ? 2 * power
                      : rough <= 5 * power ? 5 * power
                                           : 10 * power;
  std::vector<double> ticks;
  if (!(step > 0) || !std::isfinite(step)) return {low};
  for (double k = std::ceil(low / step - 1e-9); k <= high / step + 1e-9; ++k) {
    ticks.push_back(k * step);
  }
  return ticks;
}

std::vector<double> logarithmic_ticks(double low, double high) {
  const bool with_2_and_5 = high / low <= 1e4;
  std::vector<double> ticks;
  const double last = std::ceil(std::log10(high));
  for (double exponent = std::floor(std::log10(low)); exponent <= last; ++exponent) {
    for (const double digit : {1.0, 2.0, 5.0}) {
      if (digit > 1 && !with_2_and_5) continue;
      const double tick = digit * std::pow(10.0, exponent);
      if (tick >= low * (1 - 1e-9) && tick <= high * (1 + 1e-9)) ticks.push_back(tick);
    }
  }
  return ticks;
}

std::string tick_text(double value) {
  char text[40];
  const double size = std::abs(value);
  if (size >= 1e6) {
    constexpr const char* kPrefixes[] = {"k", "M", "G", "T", "P", "E"};
    int step = std::min(5, static_cast<int>(std::floor(std::log10(size) / 3 + 1e-9)) - 1);
    const double scaled = value / std::pow(1000.0, step + 1);
    if (std::abs(scaled) >= 1e6) {
      std::snprintf(text, sizeof text, "%.3g", value);
    } else {
      std::snprintf(text, sizeof text, "%.4g%s", scaled, kPrefixes[step]);
    }
    return text;
  }
  if (size >= 1000 && (value == std::floor(value) || size >= 1e5)) {
    const int whole = static_cast<int>(value);
    std::snprintf(text, sizeof text, "%d,%03d", whole / 1000, std::abs(whole) % 1000);
    return text;
  }
  std::snprintf(text, sizeof text, "%.4g", value == 0 ? 0.0 : value);  // never -0
  return text;
}

}  // namespace hadal
