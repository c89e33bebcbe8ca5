#include "hadal/kernels/quantize.h"

#include <algorithm>
#include <cmath>

#include "hadal/kernels/reference/widen.h"

namespace hadal::reference {

float fp8_scale(float amax, bool power_of_two, bool amax_floor) noexcept {
  if (amax_floor) amax = std::max(amax, 1e-4F);
  const float scale = amax / kF8E4M3Max;
  if (scale == 0.0F) return 1.0F;  // also where a tiny amax underflows: all codes are 0 then
  if (!power_of_two || !std::isfinite(scale)) return scale;
  int exponent = 0;
  const float fraction =
      std::frexp(scale, &exponent);  // scale = fraction * 2^exponent, in [1/2, 1)
  return std::ldexp(1.0F, fraction == 0.5F ? exponent - 1 : exponent);
}

void quantize(View<f8e4m3, 2> codes, View<float, 2> scales, View<const float, 2> x,
              int64_t tile_rows, int64_t tile_cols, bool power_of_two, bool amax_floor) noexcept {
  const auto [R, C] = x.shape();
  for (int64_t row = 0; row < R; row += tile_rows) {
    for (int64_t col = 0; col < C; col += tile_cols) {
      const int64_t row_end = std::min(R, row + tile_rows), col_end = std::min(C, col + tile_cols);
      float amax = 0;
      for (int64_t i = row; i < row_end; ++i) {
        for (int64_t j = col; j < col_end; ++j) amax = std::max(amax, std::abs(x(i, j)));
      }
      const float scale = fp8_scale(amax, power_of_two, amax_floor);
      scales(row / tile_rows, col / tile_cols) = scale;
      for (int64_t i = row; i < row_end; ++i) {
        for (int64_t j = col; j < col_end; ++j) codes(i, j) = to_f8e4m3(x(i, j) / scale);
      }
    }
  }
}

void dequantize(View<float, 2> x, const WeightView& codes) {
  for (int64_t n = 0; n < x.dim(0); ++n) widen_row(x.row(n), codes, n);
}

void dequantize_columns(View<float, 2> x, View<const f8e4m3, 2> codes,
                        View<const float, 2> scales) noexcept {
  for (int64_t t = 0; t < x.dim(0); ++t) {
    for (int64_t c = 0; c < x.dim(1); ++c) {
      x(t, c) = to_float(codes(t, c)) * scales(t / kFp8Tile, c);
    }
  }
}

}  // namespace hadal::reference
