// kernels/cuda/stored_weight.h: one value of a weight in whichever form it is stored.
#pragma once

#include "hadal/kernels/cuda/values.h"
#include "hadal/tensor/weight_view.h"

namespace hadal::cuda {

template <class S>
__device__ inline float scale_at(const ScaleView& scales, int64_t n, int64_t k) {
  const S* const row = static_cast<const S*>(scales.data) +
                       (scales.row0 + n) / scales.tiling.rows * scales.row_stride;
  return value_of(row[(scales.col0 + k) / scales.tiling.cols]);
}

// w(n, k). REQUIRES n and k within it.
__device__ inline float weight_at(const WeightView& w, int64_t n, int64_t k) {
  const int64_t at = n * w.row_stride + k;
  switch (w.form) {
    case WeightForm::kF32:
      return static_cast<const float*>(w.data)[at];
    case WeightForm::kBF16:
      return value_of(static_cast<const bf16*>(w.data)[at]);
    case WeightForm::kF16:
      return value_of(static_cast<const f16*>(w.data)[at]);
    case WeightForm::kFp8:
      return value_of(static_cast<const f8e4m3*>(w.data)[at]) * scale_at<float>(w.scales, n, k);
    case WeightForm::kQ8:
      return static_cast<float>(static_cast<const int8_t*>(w.data)[at]) *
             scale_at<bf16>(w.scales, n, k);
    case WeightForm::kQ4: {
      const uint8_t pair = static_cast<const uint8_t*>(w.data)[n * w.row_stride + k / 2];
      return static_cast<float>((pair >> (k % 2 * 4) & 15) - 8) * scale_at<bf16>(w.scales, n, k);
    }
  }
  return 0.0F;
}

}  // namespace hadal::cuda
