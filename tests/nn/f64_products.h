// tests/nn/f64_products.h: products of rounded operands in F64, and how far F32 sums may be from them.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "hadal/ops/quantize.h"

namespace hadal::test {

// C[i,j] = sum_k a(i,k) b(j,k), and the sum of the terms' magnitudes.
struct Sums {
  std::vector<double> value, magnitude;
};
template <class A, class B>
Sums f64_product(int64_t rows, int64_t cols, int64_t inner, const A& a, const B& b) {
  Sums result;
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < cols; ++j) {
      double value = 0, magnitude = 0;
      for (int64_t k = 0; k < inner; ++k) {
        const double term = double{a(i, k)} * double{b(j, k)};
        value += term;
        magnitude += std::abs(term);
      }
      result.value.push_back(value);
      result.magnitude.push_back(magnitude);
    }
  }
  return result;
}

// The products are exact, up to an F32 rounding each with scales that are no powers of two; F32 sums
// of n terms in any order are off by at most n eps of the magnitudes.
inline void expect_within_bound(const Tensor& got, const Sums& want, int64_t inner,
                                const char* what) {
  const auto values = got.flat<float>();
  ASSERT_EQ(values.size(), want.value.size()) << what;
  const double eps = std::numeric_limits<float>::epsilon();
  for (size_t i = 0; i < values.size(); ++i) {
    const double bound = static_cast<double>(inner + 4) * eps * want.magnitude[i];
    ASSERT_LE(std::abs(double{values[i]} - want.value[i]), bound) << what << " " << i;
  }
}

// The values that E4M3 codes of x stand for, as training rounds: no floor below amax.
inline Tensor quantised_values(Context& ctx, const Tensor& x, Tiling tiling, bool power_of_two) {
  Quantized q{ctx.empty(x.shape(), DType::kF8E4M3),
              ctx.empty({ceil_div(x.dim(0), tiling.rows), ceil_div(x.dim(1), tiling.cols)}), tiling,
              x.dim(0), x.dim(1)};
  const TileOptions options{.power_of_two = power_of_two, .amax_floor = false};
  const auto codes = q.codes.view<f8e4m3, 2>();
  if (tiling == kRowTiles) quantize_tiles(ctx, codes, q.scales.mat(), x.mat(), options);
  if (tiling == kColumnTiles) {
    quantize_column_tiles(ctx, codes, q.scales.mat(), x.mat(), options);
  }
  if (tiling == kWeightBlocks) {
    quantize_blocks(ctx, codes, q.scales.mat(), x.mat(), power_of_two);
  }
  return dequantized(ctx, q);
}

}  // namespace hadal::test
