// kernels/cpu/block_gemm.h: C[m,n] = A[m,k] B[k,n] (+ C) on the calling thread, any orientation,
// for more than a handful of rows. Parallel callers cut C into parts: no element of C depends, in any
// bit, on the cut, on the rows beside it, or on this kernel being taken or kernels/cpu/few_rows.h.
#pragma once

#include <cstdint>

#include "hadal/tensor/weight_view.h"

namespace hadal::cpu {

// A matrix in F32: element (i, j) stands at data[i * row_stride + j * col_stride]; one of the
// strides is 1.
struct Operand {
  const float* data = nullptr;
  int64_t row_stride = 0, col_stride = 0;

  static Operand of(View<const float, 2> x) { return {x.data(), x.stride(0), 1}; }
  Operand transposed() const { return {data, col_stride, row_stride}; }
  Operand at(int64_t row, int64_t col) const {
    return {data + row * row_stride + col * col_stride, row_stride, col_stride};
  }
};

// Every cut of kDepthNn (few_rows.h) is one chain of fused multiply-adds over ascending k. ldc:
// elements between rows of c.
void block_gemm(float* c, int64_t ldc, int64_t m, int64_t n, int64_t k, const Operand& a,
                const Operand& b, bool accumulate);

// The same for a weight in any form: B is w [k,n] or its transpose, w being [n,k].
void block_gemm(float* c, int64_t ldc, int64_t m, int64_t n, int64_t k, const Operand& a,
                const WeightView& w, bool transpose_w, bool accumulate);

// y[m,n] = x[m,k] w[n,k]^T (+ y), every cut of kDepthNt summed as few_rows_nt sums it: one chain a
// lane, over k, k + lanes, k + 2 lanes ..., and then the chains in pairs. The micro-kernel walks one
// lane's chain after the other; 512 / 8 or 512 / 16 steps of it hide the pairing.
void block_gemm_nt(View<float, 2> y, View<const float, 2> x, const WeightView& w, bool accumulate);

}  // namespace hadal::cpu
