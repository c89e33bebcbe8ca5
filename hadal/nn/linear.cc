#include "hadal/nn/linear.h"

#include <array>

#include "hadal/ops/copy.h"

namespace hadal {

Tensor Linear::forward(Products& products, const LinearInput& x) const {
  const View<const float, 2> rows = products.keep(x);
  Tensor y = products.ctx.empty({rows.dim(0), d_out()});
  const WeightView w = weight.weight();
  products.forward.push_back({y.mat(), rows, w, 0.0F, of_bf16(w, x.is_bf16())});
  return y;
}

Tensor Linear::forward(Context& ctx, const LinearInput& x) const {
  Products products{ctx};
  Tensor y = forward(products, x);
  products.run();
  return y;
}

void Linear::forward_rows(Context& ctx, View<float, 2> y, View<const float, 2> x) const {
  if (precision.products == Precision::kF32) return gemm_nt(ctx, y, x, weight.weight());
  Tensor rows = ctx.empty({x.dim(0), x.dim(1)});
  copy_rows(ctx, rows.mat(), x);
  const KeptRows rounded = precision.rounded_input(ctx, rows);
  const Tensor values = rounded.f32(ctx);
  const WeightView w = weight.weight();
  gemm_nt(ctx, std::array{Product{y, values.mat(), w, 0.0F, of_bf16(w, rounded.is_bf16())}});
}

void Linear::add_input_gradient(Products& products, Tensor& dx, Tensor dy, Saved& saved,
                                float beta) const {
  const LinearInput rounded = LinearInput::gradient(products.ctx, dy, precision);
  saved.dy = rounded.for_weight_gradient();
  const WeightView w = weight.weight();
  products.input_gradients.push_back(
      {dx.mat(), products.keep(rounded), w, beta, of_bf16(w, rounded.is_bf16())});
}

Tensor Linear::backward_input(Products& products, Tensor dy, Saved& saved) const {
  Tensor dx = products.ctx.empty({dy.dim(0), d_in()});
  add_input_gradient(products, dx, std::move(dy), saved, 0.0F);
  return dx;
}

Tensor Linear::backward_input(Context& ctx, Tensor dy, Saved& saved) const {
  Products products{ctx};
  Tensor dx = backward_input(products, std::move(dy), saved);
  products.run();
  return dx;
}

void Linear::backward_input_add(Products& products, Tensor& dx, Tensor dy, Saved& saved) const {
  add_input_gradient(products, dx, std::move(dy), saved, 1.0F);
}

void Linear::backward_input_add(Context& ctx, Tensor& dx, Tensor dy, Saved& saved) const {
  Products products{ctx};
  backward_input_add(products, dx, std::move(dy), saved);
  products.run();
}

void Linear::backward_weight(Products& products, Saved&& saved) {
  const Saved consumed = std::move(saved);
  const View<const float, 2> dy =
      products.keep_for_weight_gradient(consumed.dy, precision.products);
  const View<const float, 2> x = products.keep_for_weight_gradient(consumed.x, precision.products);
  products.weight_gradients.push_back(
      {weight.grad.mat(), dy, x,
       weight_gradient_is_bf16(consumed.dy, consumed.x, precision.products)});
}

void remake_working_weight(Context& ctx, Param& weight, Precision precision) {
  remake_working_weights(ctx, std::array{WorkingWeight{&weight, working_form(precision)}});
}

}  // namespace hadal
