#include "hadal/kernels/reference/widen.h"

#include <algorithm>

namespace hadal::reference {
namespace {

// out[k] = value(k) * scale of column k, where the row's scales have type S.
template <class S, class Value>
void scaled_row(std::span<float> out, const ScaleView& scales, int64_t n, const Value& value) {
  const S* const row = static_cast<const S*>(scales.data) +
                       (scales.row0 + n) / scales.tiling.rows * scales.row_stride;
  for (size_t k = 0; k < out.size(); ++k) {
    const S scale = row[(scales.col0 + static_cast<int64_t>(k)) / scales.tiling.cols];
    if constexpr (std::is_same_v<S, float>) {
      out[k] = value(k) * scale;
    } else {
      out[k] = value(k) * to_float(scale);
    }
  }
}

template <class Stored>
void plain_row(std::span<float> out, const WeightView& w, int64_t n) {
  const Stored* const row = static_cast<const Stored*>(w.data) + n * w.row_stride;
  for (size_t k = 0; k < out.size(); ++k) out[k] = to_float(row[k]);
}

}  // namespace

void widen_row(std::span<float> out, const WeightView& w, int64_t n) {
  switch (w.form) {
    case WeightForm::kF32: {
      const float* const row = static_cast<const float*>(w.data) + n * w.row_stride;
      std::copy_n(row, out.size(), out.begin());
      return;
    }
    case WeightForm::kBF16:
      return plain_row<bf16>(out, w, n);
    case WeightForm::kF16:
      return plain_row<f16>(out, w, n);
    case WeightForm::kFp8: {
      const auto* const row = static_cast<const f8e4m3*>(w.data) + n * w.row_stride;
      return scaled_row<float>(out, w.scales, n, [&](size_t k) { return to_float(row[k]); });
    }
    case WeightForm::kQ8: {
      const auto* const row = static_cast<const int8_t*>(w.data) + n * w.row_stride;
      return scaled_row<bf16>(out, w.scales, n,
                              [&](size_t k) { return static_cast<float>(row[k]); });
    }
    case WeightForm::kQ4: {
      const auto* const row = static_cast<const uint8_t*>(w.data) + n * w.row_stride;
      return scaled_row<bf16>(out, w.scales, n, [&](size_t k) {
        return static_cast<float>((row[k / 2] >> (k % 2 * 4) & 15) - 8);
      });
    }
  }
}

Widened::Widened(const WeightView& w) {
  if (w.form == WeightForm::kF32) {
    view_ = w.f32();
    return;
  }
  const auto cols = static_cast<size_t>(w.cols);
  values_.resize(static_cast<size_t>(w.rows) * cols);
  for (int64_t n = 0; n < w.rows; ++n) {
    widen_row(std::span(values_).subspan(static_cast<size_t>(n) * cols, cols), w, n);
  }
  view_ = View<const float, 2>(values_.data(), {w.rows, w.cols});
}

}  // namespace hadal::reference
