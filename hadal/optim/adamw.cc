#include "hadal/optim/adamw.h"

#include <cmath>
#include <utility>

#include "hadal/ops/adamw_update.h"
#include "hadal/ops/elementwise.h"

namespace hadal {

AdamW::AdamW(Arena& arena, std::vector<Trainable> params, const AdamwConfig& config)
    : AdamW(arena, params, whole_shards(params), config) {}

AdamW::AdamW(Arena& arena, std::vector<Trainable> params, std::vector<Shard> shards,
             const AdamwConfig& config)
    : params_(std::move(params)), shards_(std::move(shards)), config_(config) {
  moments_.reserve(shards_.size());
  for (const Shard& each : shards_) {
    Tensor::Shape shape = params_[each.param].param->shape();
    shape[0] = each.last - each.first;
    moments_.push_back({Tensor::zeros(arena, config.moment_dtype, shape),
                        Tensor::zeros(arena, config.moment_dtype, shape)});
  }
}

void AdamW::step(Context& ctx, double lr, float grad_scale) {
  ++steps_;
  AdamwStep step;
  step.lr = static_cast<float>(lr);
  step.beta1 = static_cast<float>(config_.beta1);
  step.beta2 = static_cast<float>(config_.beta2);
  step.eps = static_cast<float>(config_.eps);
  step.grad_scale = grad_scale;
  step.bias1 = 1.0 - std::pow(config_.beta1, static_cast<double>(steps_));
  step.bias2 = 1.0 - std::pow(config_.beta2, static_cast<double>(steps_));

  for_each_shard(ctx, params_, shards_, [&](size_t i) {
    const Trainable& of = params_[shards_[i].param];
    AdamwStep own = step;
    own.weight_decay = of.decay ? static_cast<float>(config_.weight_decay) : 0.0F;
    const std::span<float> gradient = shards_[i].gradient(of);
    adamw_update(ctx, shards_[i].values(of), moments_[i].m, moments_[i].v, gradient, own);
    // Zeroed here, where a small gradient still lies in the cache.
    fill(ctx, gradient, 0.0F);
  });
}

}  // namespace hadal
