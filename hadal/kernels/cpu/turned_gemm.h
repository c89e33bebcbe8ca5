// kernels/cpu/turned_gemm.h: products of rows with weights in 8 or 4 bits, by integer arithmetic, and of
// a few rows of BF16 with BF16.
//
// A row of the input becomes 8-bit codes with a scale for every 32 values, like the weight's:
//
//   x[t,k] ~ sx[t,b] cx[t,k]     sx = amax / 127     b = k / 32
//   y[t,n] = sum_b (sx[t,b] sw[n,b]) * sum_{k in b} cx[t,k] cw[n,k]
//
// The inner sum is exact, the outer one a chain of rounded products over ascending b. BF16:
// the rule of kernels/cpu/bf16/bf16_gemm.h, to which more rows go. No bit of y depends on the number
// of rows. Rounding the input is the error: at most half a scale a value (docs/precision.md has it
// measured).
#pragma once

#include <cstdint>
#include <vector>

#include "hadal/core/thread_pool.h"
#include "hadal/kernels/product.h"

namespace hadal::cpu {

// What the weight's codes are multiplied as; nothing: another kernel's business.
enum class TurnedForm : uint8_t { kNone, kQ8, kQ4, kBf16InF32, kBf16Pairs };
inline bool is_bf16(TurnedForm form) { return form >= TurnedForm::kBf16InF32; }
TurnedForm turned_form(const Product& product);
// More rows of BF16 than these are worth packing the weight.
inline constexpr int kMostBf16Turned = 4;

// Rows [T, K] in codes. Those for 4-bit weights stand in another order (even columns apart from odd ones, as
// the halves of a weight's byte come out).
struct TurnedRows {
  TurnedForm form = TurnedForm::kNone;
  int64_t n_blocks = 0;      // of 32 columns; codes of columns behind the last are zero
  int64_t block_stride = 0;  // blocks from row to row, so many that a vector's worth can be read
  int64_t stride = 0;        // bytes between rows of codes
  int8_t* codes = nullptr;   // or BF16
  float* scales = nullptr;   // [T, block_stride]
  int32_t* offsets =
      nullptr;  // [T, block_stride]: what the sum of a block is too large by, negative

  TurnedRows rows_from(int64_t t) const {
    return {form,
            n_blocks,
            block_stride,
            stride,
            codes + t * stride,
            scales + t * block_stride,
            offsets + t * block_stride};
  }
};

// The inputs of those products in a list that are multiplied here, each rounded once.
class TurnedInputs {
 public:
  TurnedInputs(ThreadPool& pool, std::span<const Product> products);
  const TurnedRows& of(size_t product) const { return rows_[index_[product]]; }

 private:
  std::vector<TurnedRows> rows_;
  std::vector<size_t> index_;  // of each product
};

// y (+)= x w^T on the calling thread; x has y's rows.
void turned_gemm_nt(View<float, 2> y, const TurnedRows& x, const WeightView& w, bool accumulate);

}  // namespace hadal::cpu
