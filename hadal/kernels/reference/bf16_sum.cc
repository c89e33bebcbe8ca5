#include "hadal/kernels/reference/bf16_sum.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace hadal::reference {
namespace {

constexpr size_t kGroup = 32;

// What is below the normal numbers counts as zero.
float flushed(float x) {
  return std::abs(x) < std::numeric_limits<float>::min() ? std::copysign(0.0F, x) : x;
}

// Over k = first, first + 2, ... of a group; behind the last value it is filled up with zeros, which
// turn a sum of -0 into +0.
float chain(std::span<const float> a, std::span<const float> b, size_t first) {
  float sum = 0.0F;
  for (size_t k = first; k < kGroup; k += 2) {
    const bool exists = k < a.size();
    sum = flushed(std::fma(exists ? flushed(a[k]) : 0.0F, exists ? flushed(b[k]) : 0.0F, sum));
  }
  return sum;
}

}  // namespace

float bf16_dot(std::span<const float> a, std::span<const float> b, float start) noexcept {
  float sum = flushed(start);
  for (size_t k = 0; k < a.size(); k += kGroup) {
    const size_t n = std::min(kGroup, a.size() - k);
    const auto of_a = a.subspan(k, n), of_b = b.subspan(k, n);
    sum = flushed(sum + flushed(chain(of_a, of_b, 0) + chain(of_a, of_b, 1)));
  }
  return sum;
}

}  // namespace hadal::reference
