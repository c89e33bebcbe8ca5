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
  return normed(ctx, saved.x.f32(ctx), saved.r);
}

Tensor RmsNorm::recompute(Context& ctx, const Saved& saved) const {
  Tensor r;
  return normed(ctx, saved.x.f32(ctx), r);
}

Tensor RmsNorm::backward_input(Context& ctx, Tensor dy, Saved& saved) const {
  Tensor dx = ctx.empty(dy.shape());
  const Tensor x = saved.x.f32(ctx);
  rmsnorm_backward_input(ctx, dx.mat(), std::as_const(dy).mat(), x.mat(), weight.master.vec(),
                         std::as_const(saved.r).vec());
  saved.dy = std::move(dy);
  return dx;
}

void RmsNorm::backward_input_add(Context& ctx, Tensor& dx, Tensor dy, Saved& saved) const {
  const Tensor x = saved.x.f32(ctx);
  rmsnorm_backward_input(ctx, dx.mat(), std::as_const(dy).mat(), x.mat(), weight.master.vec(),
                         std::as_const(saved.r).vec(), 1.0F);
  saved.dy = std::move(dy);
}

void RmsNorm::backward_weight(Context& ctx, Saved&& saved) {
  const Saved consumed = std::move(saved);
  const Tensor x = consumed.x.f32(ctx);
  rmsnorm_backward_weight(ctx, weight.grad.vec(), consumed.dy.mat(), x.mat(), consumed.r.vec());
}

}  // namespace hadal
