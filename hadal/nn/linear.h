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
  Tensor forward(Context& ctx, const Tensor& x) const;  // inference: nothing is saved
  Tensor forward(Context& ctx, const Tensor& x, Saved& saved) const;
  Tensor backward_input(Context& ctx, Tensor dy, Saved& saved) const;  // dx = dy W
  void backward_weight(Context& ctx, Saved&& saved);                   // dW += dy^T x
};
static_assert(SplitBackwardLayer<Linear>);

}  // namespace hadal
