// kernels/cpu/block_gemm.h: C[m,n] = A[m,k] B[k,n] (+ C) on the calling thread, any orientation,
// for more than a handful of rows. Parallel callers cut C into parts: every element of C is one
// chain of fused multiply-adds over ascending k, so the cut does not change a bit of the result.
#pragma once

#include <cstdint>

#include "hadal/tensor/weight_view.h"

namespace hadal::cpu {

// Element (i, j) stands at data[i * row_stride + j * col_stride]; one of the strides is 1.
struct Operand {
  const void* data = nullptr;
  int64_t row_stride = 0, col_stride = 0;
  WeightForm form = WeightForm::kF32;

  static Operand of(View<const float, 2> x) { return {x.data(), x.stride(0), 1}; }
  static Operand of(const WeightView& w) { return {w.data, w.row_stride, 1, w.form}; }
  Operand transposed() const { return {data, col_stride, row_stride, form}; }
  Operand at(int64_t row, int64_t col) const {
    const int64_t offset = row * row_stride + col * col_stride;
    return {static_cast<const char*>(data) + offset * (form == WeightForm::kF32 ? 4 : 2), row_stride, col_stride,
            form};
  }
};

// a is F32; b is F32, BF16 or F16. ldc: elements between rows of c.
void block_gemm(float* c, int64_t ldc, int64_t m, int64_t n, int64_t k, const Operand& a,
                const Operand& b, bool accumulate);

}  // namespace hadal::cpu
