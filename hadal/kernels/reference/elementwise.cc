#include "hadal/kernels/elementwise.h"

#include <algorithm>
#include <cmath>

namespace hadal::reference {

void add(std::span<float> y, std::span<const float> x) noexcept {
  for (size_t i = 0; i < y.size(); ++i) y[i] += x[i];
}

void scale(std::span<float> y, float factor) noexcept {
  for (float& value : y) value *= factor;
}

void fill(std::span<float> y, float value) noexcept {
  for (float& element : y) element = value;
}

void ema_update(std::span<float> average, std::span<const float> value, float decay) noexcept {
  for (size_t i = 0; i < average.size(); ++i) {
    average[i] += (1.0F - decay) * (value[i] - average[i]);
  }
}

double sum_of_squares(std::span<const float> x) noexcept {
  double sum = 0;
  for (const float value : x) sum += double{value} * double{value};
  return sum;
}

float largest_magnitude(std::span<const float> x) noexcept {
  float largest = 0.0F;
  for (const float value : x) {
    if (std::isnan(value)) return value;
    largest = std::max(largest, std::abs(value));
  }
  return largest;
}

int64_t count_not_finite(std::span<const float> x) noexcept {
  int64_t count = 0;
  for (const float value : x) count += std::isfinite(value) ? 0 : 1;
  return count;
}

}  // namespace hadal::reference
