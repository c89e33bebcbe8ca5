// kernels/cuda/stored_weight.h: the values of a weight in whichever form it is stored; as f32, a code
// times its scale rounded once, which is what every backend reads.
#pragma once

#include "hadal/kernels/cuda/pack.h"
#include "hadal/kernels/cuda/values.h"
#include "hadal/tensor/weight_view.h"

namespace hadal::cuda {

// REQUIRES fewer than 2^32 rows and columns of the whole matrix: division of 64 bits takes far longer.
template <class S>
__device__ inline float scale_at(const ScaleView& scales, int64_t n, int64_t k) {
  const auto row =
      static_cast<unsigned>(scales.row0 + n) / static_cast<unsigned>(scales.tiling.rows);
  const auto col =
      static_cast<unsigned>(scales.col0 + k) / static_cast<unsigned>(scales.tiling.cols);
  return value_of(static_cast<const S*>(scales.data)[row * scales.row_stride + col]);
}

// Columns k .. k + kWidth - 1 of row n. REQUIRES in_fours(w) and k % 4 == 0 for a width of 4.
template <WeightForm kForm, int kWidth>
__device__ Pack<float, kWidth> values_at(const WeightView& w, int64_t n, int64_t k) {
  Pack<float, kWidth> values;
  const auto plain = [&](const auto* data) {
    const auto stored = load<kWidth>(data + n * w.row_stride + k);
    for (int j = 0; j < kWidth; ++j) values.at[j] = value_of(stored.at[j]);
  };
  if constexpr (kForm == WeightForm::kF32) plain(static_cast<const float*>(w.data));
  if constexpr (kForm == WeightForm::kBF16) plain(static_cast<const bf16*>(w.data));
  if constexpr (kForm == WeightForm::kF16) plain(static_cast<const f16*>(w.data));
  if constexpr (kForm == WeightForm::kFp8) {
    plain(static_cast<const f8e4m3*>(w.data));
    const float scale = scale_at<float>(w.scales, n, k);
    for (int j = 0; j < kWidth; ++j) values.at[j] *= scale;
  }
  if constexpr (kForm == WeightForm::kQ8) {
    const auto codes = load<kWidth>(static_cast<const int8_t*>(w.data) + n * w.row_stride + k);
    const float scale = scale_at<bf16>(w.scales, n, k);
    for (int j = 0; j < kWidth; ++j) values.at[j] = static_cast<float>(codes.at[j]) * scale;
  }
  if constexpr (kForm == WeightForm::kQ4) {
    const auto pairs =
        load<(kWidth + 1) / 2>(static_cast<const uint8_t*>(w.data) + n * w.row_stride + k / 2);
    const float scale = scale_at<bf16>(w.scales, n, k);
    for (int j = 0; j < kWidth; ++j) {
      const int code = (pairs.at[j / 2] >> ((k + j) % 2 * 4) & 15) - 8;
      values.at[j] = static_cast<float>(code) * scale;
    }
  }
  return values;
}

// w(n, k). REQUIRES n and k within it.
__device__ inline float weight_at(const WeightView& w, int64_t n, int64_t k) {
  switch (w.form) {
    case WeightForm::kF32:
      return values_at<WeightForm::kF32, 1>(w, n, k).at[0];
    case WeightForm::kBF16:
      return values_at<WeightForm::kBF16, 1>(w, n, k).at[0];
    case WeightForm::kF16:
      return values_at<WeightForm::kF16, 1>(w, n, k).at[0];
    case WeightForm::kFp8:
      return values_at<WeightForm::kFp8, 1>(w, n, k).at[0];
    case WeightForm::kQ8:
      return values_at<WeightForm::kQ8, 1>(w, n, k).at[0];
    case WeightForm::kQ4:
      return values_at<WeightForm::kQ4, 1>(w, n, k).at[0];
  }
  return 0.0F;
}

// Whether every row is packs of four with one scale each. REQUIRES check_weight (ops/check_weight.h).
inline bool in_fours(const WeightView& w) {
  const int64_t pack_bits = kFour * bits_per_value(w.form);
  const int64_t row_bits = w.row_stride * (w.form == WeightForm::kQ4 ? 8 : bits_per_value(w.form));
  return is_aligned(w.data, pack_bits / 8) && row_bits % pack_bits == 0 && w.cols % kFour == 0 &&
         w.scales.col0 % kFour == 0;
}

// body.operator()<form>()
template <class Body>
void for_form(WeightForm form, const Body& body) {
  switch (form) {
    case WeightForm::kF32:
      return body.template operator()<WeightForm::kF32>();
    case WeightForm::kBF16:
      return body.template operator()<WeightForm::kBF16>();
    case WeightForm::kF16:
      return body.template operator()<WeightForm::kF16>();
    case WeightForm::kFp8:
      return body.template operator()<WeightForm::kFp8>();
    case WeightForm::kQ8:
      return body.template operator()<WeightForm::kQ8>();
    case WeightForm::kQ4:
      return body.template operator()<WeightForm::kQ4>();
  }
}

}  // namespace hadal::cuda
