// nn/ffn.h: the gated feed-forward network of dense layers and shared experts,
// y = W_down( silu(W_gate x) * (W_up x) ).
#pragma once

#include "hadal/nn/linear.h"

namespace hadal {

struct Ffn {
  Linear w_gate, w_up, w_down;  // [F,d], [F,d], [d,F]
  struct Saved {
    Linear::Saved w_gate, w_up, w_down;
    Tensor gate, up;  // [T,F]
    // The input may be dropped after forward and handed back before backward_input.
    void drop_input();
    void restore_input(const Tensor& x);
  };
  Tensor forward(Context& ctx, const Tensor& x) const;
  Tensor forward(Context& ctx, const Tensor& x, Saved& saved) const;
  Tensor backward_input(Context& ctx, Tensor dy, Saved& saved) const;
  void backward_weight(Context& ctx, Saved&& saved);
};
static_assert(SplitBackwardLayer<Ffn>);

}  // namespace hadal
