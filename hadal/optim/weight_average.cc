#include "hadal/optim/weight_average.h"

#include <utility>

#include "hadal/ops/elementwise.h"

namespace hadal {
namespace {

void update(Context& ctx, const std::vector<Trainable>& params, std::vector<Shard>& shards,
            std::vector<Tensor>& average, float decay) {
  for_each_shard(ctx, params, shards, [&](size_t i) {
    ema_update(ctx, average[i].flat<float>(), shards[i].values(params[shards[i].param]), decay);
  });
}

}  // namespace

WeightAverage::WeightAverage(Arena& arena, const std::vector<Trainable>& params,
                             std::vector<Shard>& shards)
    : params_(params), shards_(shards) {
  for (Shard& each : shards) {
    const Trainable& of = params[each.param];
    Tensor::Shape shape = of.param->shape();
    shape[0] = each.last - each.first;
    tensors_.push_back(Tensor::empty(arena, DType::kF32, std::move(shape)));
    tensors_.back().read_from(each.values(of).data());
  }
}

WeightAverage::~WeightAverage() = default;  // a future of std::async waits

void WeightAverage::begin_update(Context& ctx, float decay) {
  wait();
  if (ctx.device != Device::kCpu) {
    update(ctx, params_, shards_, tensors_, decay);
    return;
  }
  update_ = std::async(std::launch::async, [this, decay] {
    ThreadPool alone(1);  // the pool is the next step's
    Arena unused;
    Context beside{alone, unused};
    update(beside, params_, shards_, tensors_, decay);
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
  for (size_t i = 0; i < shards_.size(); ++i) {
    std::swap(params_[shards_[i].param].param->master, tensors_[i]);
  }
}

}  // namespace hadal
