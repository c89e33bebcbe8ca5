#include "hadal/kernels/quantize_e5m6.h"

#include <algorithm>

namespace hadal::reference {
namespace {

constexpr int64_t kE5M6Tile = 128;

// The least power of two with amax / scale <= kE5M6Max; 1 for a tile of zeros.
float e5m6_scale(float amax) {
  const float scale = amax / kE5M6Max;
  if (scale == 0.0F || !std::isfinite(scale)) return 1.0F;
  int exponent = 0;
  const float fraction = std::frexp(scale, &exponent);
  return std::ldexp(1.0F, fraction == 0.5F ? exponent - 1 : exponent);
}

}  // namespace

void quantize_e5m6(View<uint8_t, 2> codes, View<float, 2> scales, View<const float, 2> x) noexcept {
  const auto [R, C] = x.shape();
  for (int64_t i = 0; i < R; ++i) {
    for (int64_t col = 0; col < C; col += kE5M6Tile) {
      const int64_t end = std::min(C, col + kE5M6Tile);
      float amax = 0;
      for (int64_t j = col; j < end; ++j) amax = std::max(amax, std::abs(x(i, j)));
      const float scale = e5m6_scale(amax);
      scales(i, col / kE5M6Tile) = scale;
      for (int64_t j = col; j < end; j += 2) {
        const uint32_t even = to_e5m6(x(i, j) / scale);
        const uint32_t odd = j + 1 < end ? to_e5m6(x(i, j + 1) / scale) : 0;
        const uint32_t both = even | odd << 12;
        for (int64_t b = 0; b < 3; ++b) {
          codes(i, j / 2 * 3 + b) = static_cast<uint8_t>(both >> (8 * b));
        }
      }
    }
  }
}

void dequantize_e5m6(View<float, 2> x, View<const uint8_t, 2> codes,
                     View<const float, 2> scales) noexcept {
  const auto [R, C] = x.shape();
  for (int64_t i = 0; i < R; ++i) {
    for (int64_t j = 0; j < C; ++j) {
      const int64_t at = j / 2 * 3;
      const uint32_t both = uint32_t{codes(i, at)} | uint32_t{codes(i, at + 1)} << 8 |
                            uint32_t{codes(i, at + 2)} << 16;
      x(i, j) = from_e5m6(j % 2 == 0 ? both & 0xFFF : both >> 12) * scales(i, j / kE5M6Tile);
    }
  }
}

}  // namespace hadal::reference
