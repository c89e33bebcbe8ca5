// tensor/weight_view.h: a weight matrix [rows = out, cols = in] in whichever format it is stored.
// Forward products take it, so that a BF16 checkpoint is multiplied as it lies in memory. FP8 with
// block scales, int8 and int4 join here as further formats.
#pragma once

#include "hadal/tensor/tensor.h"

namespace hadal {

struct WeightView {
  DType dtype = DType::kF32;  // F32, BF16 or F16
  const void* data = nullptr;
  int64_t rows = 0, cols = 0;
  int64_t row_stride = 0;  // elements

  WeightView() = default;
  WeightView(View<const float, 2> w)  // NOLINT(google-explicit-constructor): its F32 case
      : data(w.data()), rows(w.dim(0)), cols(w.dim(1)), row_stride(w.stride(0)) {}
  WeightView(View<float, 2> w)  // NOLINT(google-explicit-constructor)
      : WeightView(View<const float, 2>(w)) {}
  explicit WeightView(const Tensor& w)
      : dtype(w.dtype()), data(w.raw()), rows(w.dim(0)), cols(w.dim(1)), row_stride(w.dim(1)) {}

  View<const float, 2> f32() const {  // ShapeError unless stored as F32
    if (dtype != DType::kF32) throw ShapeError("weight: stored as another type than F32");
    return {static_cast<const float*>(data), {rows, cols}, {row_stride, 1}};
  }
  WeightView row_range(int64_t begin, int64_t end) const {
    WeightView result = *this;
    result.data = static_cast<const char*>(data) + begin * row_stride * dtype_bytes(dtype);
    result.rows = end - begin;
    return result;
  }
};

}  // namespace hadal
