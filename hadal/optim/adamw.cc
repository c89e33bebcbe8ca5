#include "hadal/optim/adamw.h"

#include <cmath>
#include <utility>

#include "hadal/ops/adamw_update.h"
#include "hadal/ops/elementwise.h"

namespace hadal {

AdamW::AdamW(Arena& arena, std::vector<Trainable> params, const AdamwConfig& config)
    : params_(std::move(params)), config_(config) {
  moments_.reserve(params_.size());
  for (const Trainable& each : params_) {
    const Tensor::Shape& shape = each.param->master.shape();
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

  for_each_trainable(ctx, params_, [&](size_t i) {
    AdamwStep own = step;
    own.weight_decay = params_[i].decay ? static_cast<float>(config_.weight_decay) : 0.0F;
    Param& param = *params_[i].param;
    adamw_update(ctx, param.master, moments_[i].m, moments_[i].v, param.grad, own);
    // Zeroed here, where a small gradient still lies in the cache.
    fill(ctx, param.grad.flat<float>(), 0.0F);
  });
}

}  // namespace hadal
