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

// B [k,n] as the kernel reads it, for several products with it or with its first rows and columns.
struct PackedB {
  const float* data = nullptr;
  int64_t rows = 0, cols = 0;
};
int64_t packed_b_floats(int64_t n, int64_t k);
PackedB pack_b(float* memory, int64_t n, int64_t k, const Operand& b);
// REQUIRES k <= b.rows, n <= b.cols.
void block_gemm(float* c, int64_t ldc, int64_t m, int64_t n, int64_t k, const Operand& a,
                const PackedB& b, bool accumulate);

// The same for a weight in any form: B is w [k,n] or its transpose, w being [n,k].
void block_gemm(float* c, int64_t ldc, int64_t m, int64_t n, int64_t k, const Operand& a,
                const WeightView& w, bool transpose_w, bool accumulate);

// y[m,n] = x[m,k] w[n,k]^T (+ y), every cut of kDepthNt summed as few_rows_nt sums it: one chain a
// lane, over k, k + lanes, k + 2 lanes ..., and then the chains in pairs. The micro-kernel walks the
// lanes' chains one after the other, two together with AVX-512. Pairing costs the less the longer a
// chain is: against one chain an element, 0.82 of the rate at depth 64, 0.89 at 128, 0.92 at 256,
// 0.98 or more from 512 on (many rows, one thread of Zen 4 with AVX-512; AVX2: 0.84, 0.92, 0.96).
void block_gemm_nt(View<float, 2> y, View<const float, 2> x, const WeightView& w, bool accumulate);

}  // namespace hadal::cpu
