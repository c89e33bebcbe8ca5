#include "tests/support/coded_products.h"

#include <algorithm>
#include <cmath>

#include "hadal/kernels/reference/widen.h"
#include "hadal/ops/gemm.h"

namespace hadal::test {
namespace {

float scale_at(const WeightView& w, int64_t n, int64_t k) {
  const ScaleView& s = w.scales;
  const int64_t i = (s.row0 + n) / s.tiling.rows * s.row_stride + (s.col0 + k) / s.tiling.cols;
  return w.form == WeightForm::kFp8 ? static_cast<const float*>(s.data)[i]
                                    : to_float(static_cast<const bf16*>(s.data)[i]);
}

int code_at(const WeightView& w, int64_t n, int64_t k) {
  const auto* row = static_cast<const uint8_t*>(w.data) + n * w.row_stride;
  if (w.form == WeightForm::kQ8) return static_cast<int8_t>(row[k]);
  return (row[k / 2] >> (k % 2 * 4) & 15) - 8;
}

// The values of E4M3 codes, [rows, cols].
std::vector<float> code_values(const WeightView& w) {
  std::vector<float> values;
  for (int64_t n = 0; n < w.rows; ++n) {
    const auto* row = static_cast<const f8e4m3*>(w.data) + n * w.row_stride;
    for (int64_t k = 0; k < w.cols; ++k) values.push_back(to_float(row[k]));
  }
  return values;
}

// Column c of the result with the column c of the weight (or row), whose scales are multiplied into the
// input, one column a product.
template <class Multiply, class Scale>
std::vector<float> by_columns(View<const float, 2> x, int64_t n_columns, const Scale& scale,
                              const Multiply& multiply) {
  const int64_t T = x.dim(0), D = x.dim(1);
  std::vector<float> result(static_cast<size_t>(T * n_columns)), column(static_cast<size_t>(T));
  std::vector<float> scaled(static_cast<size_t>(T * D));
  for (int64_t c = 0; c < n_columns; ++c) {
    for (int64_t t = 0; t < T; ++t) {
      for (int64_t i = 0; i < D; ++i) {
        scaled[static_cast<size_t>(t * D + i)] = x(t, i) * scale(c, i);
      }
    }
    multiply(View<float, 2>(column.data(), {T, 1}), View<const float, 2>(scaled.data(), {T, D}), c);
    for (int64_t t = 0; t < T; ++t) {
      result[static_cast<size_t>(t * n_columns + c)] = column[static_cast<size_t>(t)];
    }
  }
  return result;
}

std::vector<float> integer_nt(View<const float, 2> x, const WeightView& w) {
  std::vector<float> y;
  for (int64_t t = 0; t < x.dim(0); ++t) {
    for (int64_t n = 0; n < w.rows; ++n) {
      float total = 0.0F;
      for (int64_t first = 0; first < w.cols; first += kQuantBlock) {
        const int64_t last = std::min(w.cols, first + kQuantBlock);
        float amax = 0.0F;
        for (int64_t k = first; k < last; ++k) amax = std::max(amax, std::abs(x(t, k)));
        const float inverse = amax > 0.0F ? 127.0F / amax : 0.0F;
        int sum = 0;
        for (int64_t k = first; k < last; ++k) {
          sum += static_cast<int>(std::nearbyint(x(t, k) * inverse)) * code_at(w, n, k);
        }
        total += static_cast<float>(sum) * (scale_at(w, n, first) * (amax / 127.0F));
      }
      y.push_back(total);
    }
  }
  return y;
}

}  // namespace

std::vector<float> expected_nt(Context& ctx, View<const float, 2> x, const WeightView& w) {
  if (w.form != WeightForm::kFp8) return integer_nt(x, w);
  const std::vector<float> codes = code_values(w);
  return by_columns(
      x, w.rows, [&](int64_t n, int64_t k) { return scale_at(w, n, k); },
      [&](View<float, 2> y, View<const float, 2> scaled, int64_t n) {
        gemm_nt(ctx, y, scaled, View<const float, 2>(codes.data() + n * w.cols, {1, w.cols}));
      });
}

std::vector<float> expected_nn(Context& ctx, View<const float, 2> dy, const WeightView& w) {
  const int64_t T = dy.dim(0);
  if (w.form != WeightForm::kFp8) {
    const reference::Widened values(w);
    std::vector<float> dx(static_cast<size_t>(T * w.cols));
    gemm_nn(ctx, {dx.data(), {T, w.cols}}, dy, values.view());
    return dx;
  }
  const std::vector<float> codes = code_values(w);
  return by_columns(
      dy, w.cols, [&](int64_t k, int64_t n) { return scale_at(w, n, k); },
      [&](View<float, 2> dx, View<const float, 2> scaled, int64_t k) {
        gemm_nn(ctx, dx, scaled, View<const float, 2>(codes.data() + k, {w.rows, 1}, {w.cols, 1}));
      });
}

}  // namespace hadal::test
