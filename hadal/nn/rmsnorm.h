// nn/rmsnorm.h: RMSNorm as a layer; ops/rmsnorm.h has the formula.
#pragma once

#include "hadal/nn/layer.h"

namespace hadal {

struct RmsNorm {
  struct Saved {
    Tensor x;   // [T, D]
    Tensor r;   // [T]
    Tensor dy;  // [T, D]  written by backward_input
  };
  Param weight;  // [D]
  float eps = 1e-6F;
  Tensor forward(Context& ctx, const Tensor& x) const;
  Tensor forward(Context& ctx, const Tensor& x, Saved& saved) const;
  Tensor backward_input(Context& ctx, Tensor dy, Saved& saved) const;
  void backward_weight(Context& ctx, Saved&& saved);
};
static_assert(SplitBackwardLayer<RmsNorm>);

}  // namespace hadal
