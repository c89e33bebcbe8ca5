// kernels/cpu/bf16/bf16_gemm.h: products of BF16 with BF16 on the calling thread, F32 sums.
//
//   c[m,n] = sum_k a[m,k] b[n,k] (+ c)
//
// The rule of summation, that of AMX's TDPBF16PS (docs/decisions/021-bf16-products.md). Along k, groups of
// 32, the last one filled up with zeros:
//
//   even = fma chain over k = 0, 2, ..., 30 of the group, from 0        odd = the same over 1, 3, ..., 31
//   c = c + (even + odd)                                                groups ascending; c begins as beta c
//
// Every operation is rounded to F32, to nearest even; what is below 2^-126, operand or result, counts as
// zero. kernels/reference/bf16_sum.h computes it value by value, and every instruction set here gives its
// bits: with AMX, with AVX-512 BF16, and in F32 elsewhere, as a product of two BF16 is exact in F32. (But
// for SSE4, which has no fused multiply-add and so loses products below 2^-126.) So no bit depends on the
// number of rows, on the cut into parts, on threads or on the processor.
#pragma once

#include "hadal/tensor/weight_view.h"

namespace hadal::cpu {

// The matrix x[n,k]: `values` are [n,k] themselves, or [k,n]. F32, BF16 or E4M3 whose scales are powers of
// two; every value is one of BF16.
struct Bf16Operand {
  WeightView values;
  bool turned = false;  // [k,n]

  int64_t n() const { return turned ? values.cols : values.rows; }
  int64_t depth() const { return turned ? values.rows : values.cols; }
};

// REQUIRES c [a.n(), b.n()], a.depth() == b.depth().
void bf16_gemm(View<float, 2> c, const Bf16Operand& a, const Bf16Operand& b, bool accumulate);

// What multiplies: "AMX", "AVX-512 BF16", or "F32".
const char* bf16_products_name();

// Whether AVX-512 BF16 is there and not ruled out by a limit (simd_limit.h).
bool has_bf16_dots();

}  // namespace hadal::cpu
