// kernels/cpu/int8_gemm.h: products of rows with weights in 8 or 4 bits, by integer arithmetic.
//
// A row of the input becomes 8-bit codes with a scale for every 32 values, like the weight's:
//
//   x[t,k] ~ sx[t,b] cx[t,k]     sx = amax / 127     b = k / 32
//   y[t,n] = sum_b (sx[t,b] sw[n,b]) * sum_{k in b} cx[t,k] cw[n,k]
//
// The inner sum is exact, the outer one a chain of fused multiply-adds over ascending b, whatever the
// number of rows: nothing else has a say in a bit of y. Rounding the input is the error: at most half a
// scale a value (docs/precision.md has it measured).
#pragma once

#include <cstdint>
#include <vector>

#include "hadal/core/thread_pool.h"
#include "hadal/kernels/product.h"

namespace hadal::cpu {

inline bool has_int8_product(WeightForm form) {
  return form == WeightForm::kQ8 || form == WeightForm::kQ4;
}

// Rows [T, K] in codes. Those for 4-bit weights stand in another order (the even ones of 8 columns
// before the odd ones, as the halves of a weight's byte come out).
struct Int8Rows {
  int64_t n_blocks = 0;  // of 32 columns; codes of columns behind the last are zero
  int64_t stride = 0;    // bytes between rows of codes
  int8_t* codes = nullptr;
  float* scales = nullptr;     // [T, n_blocks]
  int32_t* offsets = nullptr;  // [T, n_blocks]: what the sum of a block is too large by, negative

  Int8Rows rows_from(int64_t t) const {
    return {n_blocks, stride, codes + t * stride, scales + t * n_blocks, offsets + t * n_blocks};
  }
};

// The inputs of those products in a list whose weights have codes, each rounded once.
class Int8Inputs {
 public:
  Int8Inputs(ThreadPool& pool, std::span<const Product> products);
  const Int8Rows& of(size_t product) const { return rows_[index_[product]]; }

 private:
  std::vector<Int8Rows> rows_;
  std::vector<size_t> index_;  // of each product
};

// y (+)= x w^T on the calling thread; x has y's rows.
void int8_gemm_nt(View<float, 2> y, const Int8Rows& x, const WeightView& w, bool accumulate);

}  // namespace hadal::cpu
