#include "hadal/nn/rmsnorm.h"

#include "hadal/ops/rmsnorm.h"

namespace hadal {

Tensor RmsNorm::normed(Context& ctx, const Tensor& x, Tensor& r) const {
  Tensor y = ctx.empty(x.shape());
  r = ctx.empty({x.dim(0)});
  rmsnorm_forward(ctx, y.mat(), r.vec(), x.mat(), weight.master.vec(), eps);
  return y;
}

Tensor RmsNorm::forward(Context& ctx, const Tensor& x) const {
  Saved dropped;
  return forward(ctx, x, dropped);
}

Tensor RmsNorm::forward(Context& ctx, const Tensor& x, Saved& saved) const {
  saved.x = precision.kept_stream(ctx, x);
  Tensor y = normed(ctx, saved.x.f32(ctx), saved.r);
  if (precision.keeps_norm_outputs()) {
    saved.x = {};
    saved.y = precision.rounded_input(ctx, y);
  }
  return y;
}

Tensor RmsNorm::input(Context& ctx, const Saved& saved) const {
  if (!saved.y.has_data()) return saved.x.f32(ctx);
  const Tensor y = saved.y.f32(ctx);
  Tensor x = ctx.empty(y.shape());
  rmsnorm_input(ctx, x.mat(), y.mat(), weight.master.vec(), std::as_const(saved.r).vec());
  return x;
}

Tensor RmsNorm::recompute(Context& ctx, const Saved& saved) const {
  if (saved.y.has_data()) return saved.y.f32(ctx);
  Tensor r;
  return normed(ctx, saved.x.f32(ctx), r);
}

Tensor RmsNorm::backward_input(Context& ctx, Tensor dy, Saved& saved) const {
  Tensor dx = ctx.empty(dy.shape());
  const Tensor x = input(ctx, saved);
  rmsnorm_backward_input(ctx, dx.mat(), std::as_const(dy).mat(), x.mat(), weight.master.vec(),
                         std::as_const(saved.r).vec());
  saved.dy = std::move(dy);
  return dx;
}

void RmsNorm::backward_input_add(Context& ctx, Tensor& dx, Tensor dy, Saved& saved) const {
  const Tensor x = input(ctx, saved);
  rmsnorm_backward_input(ctx, dx.mat(), std::as_const(dy).mat(), x.mat(), weight.master.vec(),
                         std::as_const(saved.r).vec(), 1.0F);
  saved.dy = std::move(dy);
}

void RmsNorm::backward_weight(Context& ctx, Saved&& saved) {
  const Saved consumed = std::move(saved);
  const Tensor x = input(ctx, consumed);
  rmsnorm_backward_weight(ctx, weight.grad.vec(), consumed.dy.mat(), x.mat(), consumed.r.vec());
}

}  // namespace hadal
