// nn/ffn.h: the gated feed-forward network of dense layers and shared experts,
// y = W_down( silu(W_gate x) * (W_up x) ).
#pragma once

#include "hadal/nn/linear.h"
#include "hadal/nn/recompute.h"

namespace hadal {

struct Ffn {
  Linear w_gate, w_up, w_down;  // [F,d], [F,d], [d,F]
  struct Saved {
    Linear::Saved w_gate, w_up, w_down;
    Tensor gate, up;  // [T,F]
  };
  Tensor forward(Context& ctx, const Tensor& x, const Recompute& recompute, Saved& saved) const;
  // x_again: the input, where `recompute` let forward not keep it; else empty.
  Tensor backward_input(Context& ctx, Tensor dy, const Tensor& x_again, Saved& saved) const;
  void backward_weight(Context& ctx, Saved&& saved);
};

}  // namespace hadal
