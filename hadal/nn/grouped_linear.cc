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

Tensor GroupedLinear::forward(Context& ctx, const LinearInput& x,
                              std::span<const int64_t> offsets) const {
  const Tensor rows = x.f32(ctx);
  Tensor y = ctx.empty({rows.dim(0), d_out()});
  grouped_gemm_nt(ctx, y.mat(), rows.mat(), views(weights, offsets), offsets);
  return y;
}

void GroupedLinear::backward_input(Context& ctx, Tensor& dx, const Tensor& dy,
                                   std::span<const int64_t> offsets, bool accumulate) const {
  grouped_gemm_nn(ctx, dx.mat(), dy.mat(), views(weights, offsets), offsets,
                  accumulate ? 1.0F : 0.0F);
}

void GroupedLinear::backward_weight(Context& ctx, const Tensor& dy, const LinearInput& x,
                                    std::span<const int64_t> offsets) {
  std::vector<View<float, 2>> gradients;
  gradients.reserve(weights.size());
  for (Param& weight : weights) gradients.push_back(weight.grad.mat());
  grouped_gemm_tn(ctx, gradients, dy.mat(), x.f32(ctx).mat(), offsets);
}

}  // namespace hadal
