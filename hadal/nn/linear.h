// nn/linear.h: y = x W^T. No bias: DeepSeek-V3 has none in its projections.
#pragma once

#include <variant>

#include "hadal/nn/products.h"
#include "hadal/tensor/param.h"

namespace hadal {

// What a linear does to its input before the product. The weight is always multiplied in the form in
// which it is stored, sums are F32, gradients stay F32.
enum class Precision {
  kF32,                 // the input as it is
  kBf16Input,           // rounded to BF16, as programs that compute in BF16 do
  kFp8Input,            // rounded to E4M3 in tiles of 1x128, F32 scales (report section 3.3.2)
  kFp8InputPowerOfTwo,  // the same, scales rounded up to powers of two
};

// Rows [T, d_in] as a linear multiplies them: F32, or rounded once and kept as codes. Linears that
// read the same rows share one.
class LinearInput {
 public:
  LinearInput() = default;  // no rows
  LinearInput(Context& ctx, const Tensor& x, Precision precision);

  bool has_data() const { return !std::holds_alternative<std::monostate>(rows_); }
  LinearInput share() const;
  Tensor f32(Context& ctx) const;  // shared where they are F32
  bool is_bf16() const { return is_bf16_; }
  int64_t bytes() const;  // that keeping them takes

 private:
  std::variant<std::monostate, Tensor, Quantized> rows_;
  bool is_bf16_ = false;  // F32 rows whose values are those of BF16
};

struct Linear {
  struct Saved {
    LinearInput x;  // [T, d_in]   written by forward, or before backward_weight (nn/recompute.h)
    Tensor dy;      // [T, d_out]  written by backward_input
  };
  Param weight;  // [d_out, d_in]
  Precision precision = Precision::kF32;

  int64_t d_out() const { return weight.shape()[0]; }
  int64_t d_in() const { return weight.shape()[1]; }

  LinearInput input(Context& ctx, const Tensor& x) const { return {ctx, x, precision}; }
  Tensor forward(Products& products, const LinearInput& x) const;
  Tensor forward(Context& ctx, const LinearInput& x) const;
  Tensor forward(Context& ctx, const Tensor& x) const { return forward(ctx, input(ctx, x)); }
  // The same for rows [T, d_in] that lie elsewhere, strided, for instance in the latent cache. Fills
  // y [T, d_out].
  void forward_rows(Context& ctx, View<float, 2> y, View<const float, 2> x) const;
  // dx = dy W
  Tensor backward_input(Products& products, Tensor dy, Saved& saved) const;
  Tensor backward_input(Context& ctx, Tensor dy, Saved& saved) const;
  // dx += dy W: where several projections read one input.
  void backward_input_add(Products& products, Tensor& dx, Tensor dy, Saved& saved) const;
  void backward_input_add(Context& ctx, Tensor& dx, Tensor dy, Saved& saved) const;
  void backward_weight(Products& products, Saved&& saved);  // dW += dy^T x
};

}  // namespace hadal
