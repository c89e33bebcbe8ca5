// nn/linear.h: y = x W^T. No bias: DeepSeek-V3 has none in its projections.
#pragma once

#include "hadal/nn/layer.h"

namespace hadal {

struct Linear {
  struct Saved {
    Tensor x;   // [T, d_in]   written by forward
    Tensor dy;  // [T, d_out]  written by backward_input
  };
  Param weight;  // [d_out, d_in]

  int64_t d_out() const { return weight.value.dim(0); }
  int64_t d_in() const { return weight.value.dim(1); }

  Tensor forward(Context& ctx, const Tensor& x) const;  // inference: nothing is saved
  Tensor forward(Context& ctx, const Tensor& x, Saved& saved) const;
  Tensor backward_input(Context& ctx, Tensor dy, Saved& saved) const;  // dx = dy W
  // dx += dy W: where several projections read one input.
  void backward_input_add(Context& ctx, Tensor& dx, Tensor dy, Saved& saved) const;
  void backward_weight(Context& ctx, Saved&& saved);  // dW += dy^T x
};
static_assert(SplitBackwardLayer<Linear>);

// What the product with `weight` reads: x itself, or x rounded to FP8 tiles when ctx asks for it
// and the weight is one of the FP8 linears (spec 03 section 2.3).
Tensor linear_input(Context& ctx, const Tensor& x, const Param& weight);

}  // namespace hadal
