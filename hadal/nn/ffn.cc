#include "hadal/nn/ffn.h"

#include "hadal/nn/swiglu.h"

namespace hadal {

Tensor Ffn::forward(Context& ctx, const Tensor& x, const Recompute& recompute, Saved& saved) const {
  {
    const LinearInput in = w_gate.input(ctx, x);
    saved.gate = w_gate.forward(ctx, in);
    saved.up = w_up.forward(ctx, in);
    if (!recompute.norm_outputs) {
      saved.w_gate.x = in.share();
      saved.w_up.x = in.share();
    }
  }
  const LinearInput h = w_down.input(ctx, swiglu(ctx, saved.gate, saved.up));
  if (!recompute.swiglu_outputs) saved.w_down.x = h.share();
  return w_down.forward(ctx, h);
}

Tensor Ffn::backward_input(Context& ctx, Tensor dy, const Tensor& x_again, Saved& saved) const {
  if (x_again.has_data()) {
    saved.w_gate.x = w_gate.input(ctx, x_again);
    saved.w_up.x = saved.w_gate.x.share();
  }
  const Tensor gate = std::move(saved.gate), up = std::move(saved.up);
  if (!saved.w_down.x.has_data()) saved.w_down.x = w_down.input(ctx, swiglu(ctx, gate, up));
  Tensor dgate = w_down.backward_input(ctx, std::move(dy), saved.w_down);  // dh, then dgate in place
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
