#include "hadal/optim/trainable.h"

namespace hadal {
namespace {

int64_t row_elements(const Param& param) {
  return param.shape().size() == 2 ? param.shape()[1] : 1;
}

std::span<float> rows_of(Tensor& tensor, const Shard& shard, int64_t row) {
  return tensor.flat<float>().subspan(static_cast<size_t>(shard.first * row),
                                      static_cast<size_t>((shard.last - shard.first) * row));
}

void for_each_of(Context& ctx, size_t count, FunctionRef<int64_t(size_t)> elements,
                 FunctionRef<void(size_t)> body) {
  constexpr int64_t kSmall = int64_t{1} << 17;  // elements: value, gradient and moments fit the L2
  std::vector<size_t> small;
  for (size_t i = 0; i < count; ++i) {
    if (elements(i) <= kSmall) {
      small.push_back(i);
    } else {
      body(i);
    }
  }
  ctx.pool.parallel_tasks(static_cast<int64_t>(small.size()),
                          [&](int64_t task, int) { body(small[static_cast<size_t>(task)]); });
}

}  // namespace

int64_t Shard::elements(const Trainable& of) const {
  return (last - first) * row_elements(*of.param);
}

std::span<float> Shard::values(const Trainable& of) {
  if (master.has_data()) return master.flat<float>();
  return rows_of(of.param->master, *this, row_elements(*of.param));
}

std::span<float> Shard::gradient(const Trainable& of) const {
  return rows_of(of.param->grad, *this, row_elements(*of.param));
}

std::vector<Shard> whole_shards(const std::vector<Trainable>& params) {
  std::vector<Shard> shards;
  for (size_t i = 0; i < params.size(); ++i) {
    shards.push_back({.param = i, .first = 0, .last = params[i].param->shape()[0]});
  }
  return shards;
}

void for_each_trainable(Context& ctx, const std::vector<Trainable>& params,
                        FunctionRef<void(size_t)> body) {
  for_each_of(
      ctx, params.size(), [&](size_t i) { return params[i].param->master.size(); }, body);
}

void for_each_shard(Context& ctx, const std::vector<Trainable>& params,
                    const std::vector<Shard>& shards, FunctionRef<void(size_t)> body) {
  for_each_of(
      ctx, shards.size(), [&](size_t i) { return shards[i].elements(params[shards[i].param]); },
      body);
}

}  // namespace hadal
