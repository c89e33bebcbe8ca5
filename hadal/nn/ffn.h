// nn/ffn.h: the gated feed-forward network of dense layers and shared experts,
// y = W_down( silu(W_gate x) * (W_up x) ).
#pragma once

#include "hadal/nn/linear.h"
#include "hadal/nn/recompute.h"
#include "hadal/ops/swiglu.h"

namespace hadal {

struct Ffn {
  Linear w_gate, w_up, w_down;  // [F,d], [F,d], [d,F]
  float swiglu_limit = kNoSwigluLimit;
  struct Saved {
    Linear::Saved w_gate, w_up, w_down;
    KeptRows gate, up;  // [T,F]
    Tensor dgate, dup;  // [T,F], between two phases of the way back; dgate holds dh first
  };
  Tensor forward(Context& ctx, const Tensor& x, const RecomputePolicy& recompute,
                 Saved& saved) const;
  // x_again: the input, where `recompute` let forward not keep it; else empty.
  Tensor backward_input(Context& ctx, Tensor dy, const Tensor& x_again, Saved& saved) const;
  void backward_weight(Products& products, Saved&& saved);

  // Its phases, so that a shared expert is computed in the regions of the routed ones: each needs what
  // the one before listed to have run.
  struct GateUp {
    Tensor gate, up;
  };
  GateUp forward_gate_up(Products& products, const Tensor& x, const RecomputePolicy& recompute,
                         Saved& saved) const;
  Tensor forward_down(Products& products, GateUp gate_up, const RecomputePolicy& recompute,
                      Saved& saved) const;
  void backward_down(Products& products, Tensor dy, const Tensor& x_again, Saved& saved) const;
  Tensor backward_gate(Products& products, Saved& saved) const;  // dx, of the gate alone
  void backward_up_add(Products& products, Tensor& dx, Saved& saved) const;
};

}  // namespace hadal
