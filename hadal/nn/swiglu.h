// nn/swiglu.h: silu(gate) * up as a tensor of its own; ops/swiglu.h has the formula.
#pragma once

#include "hadal/ops/swiglu.h"

namespace hadal {

inline Tensor swiglu(Context& ctx, const Tensor& gate, const Tensor& up, float limit) {
  Tensor h = ctx.empty(gate.shape());
  swiglu_forward(ctx, h.mat(), gate.mat(), up.mat(), limit);
  return h;
}

}  // namespace hadal
