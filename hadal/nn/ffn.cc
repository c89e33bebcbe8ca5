#include "hadal/nn/ffn.h"

#include "hadal/nn/swiglu.h"

namespace hadal {

Tensor Ffn::forward(Context& ctx, const Tensor& x, const RecomputePolicy& recompute,
                    Saved& saved) const {
  Products products{ctx};
  GateUp gate_up = forward_gate_up(products, x, recompute, saved);
  products.run();
  Tensor y = forward_down(products, std::move(gate_up), recompute, saved);
  products.run();
  return y;
}

Ffn::GateUp Ffn::forward_gate_up(Products& products, const Tensor& x,
                                 const RecomputePolicy& recompute, Saved& saved) const {
  const LinearInput in = w_gate.input(products.ctx, x);
  GateUp result{w_gate.forward(products, in), w_up.forward(products, in)};
  if (!recompute.norm_outputs) {
    saved.w_gate.x = in.for_weight_gradient();
    saved.w_up.x = saved.w_gate.x.share();
  }
  return result;
}

Tensor Ffn::forward_down(Products& products, GateUp gate_up, const RecomputePolicy& recompute,
                         Saved& saved) const {
  Context& ctx = products.ctx;
  const LinearInput h = w_down.input(ctx, swiglu(ctx, gate_up.gate, gate_up.up, swiglu_limit));
  saved.gate = w_down.precision.kept_swiglu_input(ctx, gate_up.gate);
  saved.up = w_down.precision.kept_swiglu_input(ctx, gate_up.up);
  if (!recompute.swiglu_outputs) saved.w_down.x = h.for_weight_gradient();
  return w_down.forward(products, h);
}

Tensor Ffn::backward_input(Context& ctx, Tensor dy, const Tensor& x_again, Saved& saved) const {
  Products products{ctx};
  backward_down(products, std::move(dy), x_again, saved);
  products.run();
  Tensor dx = backward_gate(products, saved);
  products.run();
  backward_up_add(products, dx, saved);
  products.run();
  return dx;
}

void Ffn::backward_down(Products& products, Tensor dy, const Tensor& x_again, Saved& saved) const {
  Context& ctx = products.ctx;
  if (x_again.has_data()) {
    saved.w_gate.x = w_gate.input(ctx, x_again);
    saved.w_up.x = saved.w_gate.x.share();
  }
  if (!saved.w_down.x.has_data()) {
    const Tensor h = swiglu(ctx, saved.gate.f32(ctx), saved.up.f32(ctx), swiglu_limit);
    saved.w_down.x = w_down.input(ctx, h);
  }
  saved.dgate = w_down.backward_input(products, std::move(dy), saved.w_down);
}

Tensor Ffn::backward_gate(Products& products, Saved& saved) const {
  const Tensor gate = saved.gate.f32(products.ctx), up = saved.up.f32(products.ctx);
  saved.gate = {};
  saved.up = {};
  saved.dup = products.ctx.empty(gate.shape());
  swiglu_backward(products.ctx, saved.dgate.mat(), saved.dup.mat(),
                  std::as_const(saved.dgate).mat(), gate.mat(), up.mat(), swiglu_limit);
  return w_gate.backward_input(products, std::move(saved.dgate), saved.w_gate);
}

void Ffn::backward_up_add(Products& products, Tensor& dx, Saved& saved) const {
  w_up.backward_input_add(products, dx, std::move(saved.dup), saved.w_up);
}

void Ffn::backward_weight(Products& products, Saved&& saved) {
  w_down.backward_weight(products, std::move(saved.w_down));
  w_up.backward_weight(products, std::move(saved.w_up));
  w_gate.backward_weight(products, std::move(saved.w_gate));
}

}  // namespace hadal
