#include "hadal/optim/weight_average.h"

#include <utility>

#include "hadal/ops/elementwise.h"

namespace hadal {
namespace {

void update(Context& ctx, const std::vector<Trainable>& params, std::vector<Tensor>& average,
            float decay) {
  for_each_trainable(ctx, params, [&](size_t i) {
    ema_update(ctx, average[i].flat<float>(), std::as_const(params[i].param->master).flat<float>(),
               decay);
  });
}

}  // namespace

WeightAverage::WeightAverage(Arena& arena, const std::vector<Trainable>& params) : params_(params) {
  for (const Trainable& each : params) tensors_.push_back(each.param->master.clone(arena));
}

WeightAverage::~WeightAverage() = default;  // a future of std::async waits

void WeightAverage::begin_update(Context& ctx, float decay) {
  wait();
  if (ctx.device != Device::kCpu) {
    update(ctx, params_, tensors_, decay);
    return;
  }
  update_ = std::async(std::launch::async, [this, decay] {
    ThreadPool alone(1);  // the pool is the next step's
    Arena unused;
    Context beside{alone, unused};
    update(beside, params_, tensors_, decay);
  });
}

void WeightAverage::wait() {
  if (update_.valid()) update_.get();
}

std::vector<Tensor>& WeightAverage::tensors() {
  wait();
  return tensors_;
}

void WeightAverage::exchange() {
  wait();
  for (size_t i = 0; i < params_.size(); ++i) {
    std::swap(params_[i].param->master, tensors_[i]);
  }
}

}  // namespace hadal
