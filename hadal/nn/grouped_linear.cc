#include "hadal/nn/grouped_linear.h"

#include "hadal/ops/grouped_gemm.h"

namespace hadal {
namespace {

// Experts without rows keep an empty view: a token meets 8 of 256, and nobody looks at the others.
std::vector<WeightView> views(const std::vector<Param>& weights, std::span<const int64_t> offsets) {
  std::vector<WeightView> result(weights.size());
  for (size_t e = 0; e < weights.size(); ++e) {
    if (offsets[e + 1] > offsets[e]) result[e] = weights[e].weight();
  }
  return result;
}

}  // namespace

Tensor GroupedLinear::forward(Products& products, const LinearInput& x,
                              std::span<const int64_t> offsets) const {
  const View<const float, 2> rows = products.keep(x);
  Tensor y = products.ctx.empty({rows.dim(0), d_out()});
  append_groups(products.forward, y.mat(), rows, views(weights, offsets), offsets, 0.0F,
                of_bf16(x));
  return y;
}

LinearInput GroupedLinear::gradient(Context& ctx, const Tensor& dy,
                                    std::span<const int64_t> offsets) const {
  return LinearInput::of_groups(ctx, precision.rounded_gradient(ctx, dy), dy, precision, offsets);
}

void GroupedLinear::backward_input(Products& products, Tensor& dx, const LinearInput& dy,
                                   std::span<const int64_t> offsets, bool accumulate) const {
  append_groups(products.input_gradients, dx.mat(), products.keep(dy), views(weights, offsets),
                offsets, accumulate ? 1.0F : 0.0F, of_bf16(dy));
}

void GroupedLinear::backward_weight(Products& products, const LinearInput& dy, const LinearInput& x,
                                    std::span<const int64_t> offsets) {
  std::vector<View<float, 2>> gradients;
  gradients.reserve(weights.size());
  for (Param& weight : weights) gradients.push_back(weight.grad.mat());
  append_groups(products.weight_gradients, gradients,
                products.keep_for_weight_gradient(dy, precision.products, offsets),
                products.keep_for_weight_gradient(x, precision.products, offsets), offsets,
                weight_gradient_is_bf16(dy, x, precision.products));
}

}  // namespace hadal
