#include "hadal/nn/ffn.h"

#include "hadal/ops/swiglu.h"

namespace hadal {

void Ffn::Saved::drop_input() {
  w_gate.x = {};
  w_up.x = {};
}

void Ffn::Saved::restore_input(const Tensor& x) {
  w_gate.x = x.share();
  w_up.x = x.share();
}

Tensor Ffn::forward(Context& ctx, const Tensor& x) const {
  Saved dropped;
  return forward(ctx, x, dropped);
}

Tensor Ffn::forward(Context& ctx, const Tensor& x, Saved& saved) const {
  saved.gate = w_gate.forward(ctx, x, saved.w_gate);
  saved.up = w_up.forward(ctx, x, saved.w_up);
  Tensor h = ctx.empty(saved.gate.shape());
  swiglu_forward(ctx, h.mat(), std::as_const(saved.gate).mat(), std::as_const(saved.up).mat());
  return w_down.forward(ctx, h);  // h is not saved: cheap to form again from gate and up
}

Tensor Ffn::backward_input(Context& ctx, Tensor dy, Saved& saved) const {
  const Tensor gate = std::move(saved.gate), up = std::move(saved.up);
  Tensor h = ctx.empty(gate.shape());
  swiglu_forward(ctx, h.mat(), gate.mat(), up.mat());
  saved.w_down.x = std::move(h);
  Tensor dgate =
      w_down.backward_input(ctx, std::move(dy), saved.w_down);  // dh, then dgate in place
  Tensor dup = ctx.empty(gate.shape());
  swiglu_backward(ctx, dgate.mat(), dup.mat(), std::as_const(dgate).mat(), gate.mat(), up.mat());
  Tensor dx = w_gate.backward_input(ctx, std::move(dgate), saved.w_gate);
  w_up.backward_input_add(ctx, dx, std::move(dup), saved.w_up);
  return dx;
}

void Ffn::backward_weight(Context& ctx, Saved&& saved) {
  w_down.backward_weight(ctx, std::move(saved.w_down));
  w_up.backward_weight(ctx, std::move(saved.w_up));
  w_gate.backward_weight(ctx, std::move(saved.w_gate));
}

}  // namespace hadal
