// nn/linear.h: y = x W^T. No bias: DeepSeek-V3 has none in its projections.
#pragma once

#include "hadal/nn/products.h"
#include "hadal/ops/working_weights.h"

namespace hadal {

struct Linear {
  struct Saved {
    LinearInput x;   // [T, d_in]   written by forward, or before backward_weight (nn/recompute.h)
    LinearInput dy;  // [T, d_out]  written by backward_input
  };
  Param weight;  // [d_out, d_in]
  LinearPrecision precision;

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

 private:
  // Whether BF16 is multiplied by BF16.
  bool of_bf16(const WeightView& w, bool in_is_bf16) const {
    return in_is_bf16 && holds_bf16(w.form, precision.products);
  }
  // dy as the products read it is kept for W. dx = dy W + beta dx
  void add_input_gradient(Products& products, Tensor& dx, Tensor dy, Saved& saved,
                          float beta) const;
};

// The form in which products read the weight: of kBf16, kFp8 and kFp8F32Scales a working copy of the
// master, made straight from F32; of the others none. After every change of the master, which REQUIRES its data.
void remake_working_weight(Context& ctx, Param& weight, Precision precision);

}  // namespace hadal
