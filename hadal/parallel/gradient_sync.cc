#include "hadal/parallel/gradient_sync.h"

#include <algorithm>
#include <functional>

#include "hadal/ops/copy.h"
#include "hadal/ops/elementwise.h"

namespace hadal {
namespace {

constexpr size_t kExchangesUnderWay = 4;

Shard shard_of(const ShardUnit& unit) {
  return {.param = unit.param, .first = unit.first, .last = unit.last};
}

void add_to(Context& ctx, Tensor& sum, const Tensor& piece) {
  add(ctx, sum.flat<float>(), piece.flat<float>());
}

std::span<float> gradient_of(const ShardUnit& unit, const std::vector<Trainable>& params) {
  return shard_of(unit).gradient(params[unit.param]);
}

// Where the gradients of each holder's units lie.
std::vector<Stretches> gradients_of_owners(const SyncedGroup& group, const Bucket& bucket,
                                           const std::vector<Trainable>& params) {
  std::vector<Stretches> result(group.layout.ranks.size());
  for (const ShardUnit& unit : bucket) {
    result[unit.owner].push_back(std::as_writable_bytes(gradient_of(unit, params)));
  }
  return result;
}

Exchange start_sum(Context& ctx, const SyncedGroup& group, const Bucket& bucket,
                   const std::vector<Trainable>& params) {
  std::vector<Tensor> pieces;
  for (const Stretches& each : gradients_of_owners(group, bucket, params)) {
    pieces.push_back(ctx.empty({total_bytes(each) / int64_t{sizeof(float)}}));
    pack(ctx, pieces.back(), each);
  }
  return {*group.comm, std::move(pieces), {DType::kF32, {-1}}, ctx.arena};
}

// What all holders made of the own units, in ascending rank.
void finish_sum(Context& ctx, const SyncedGroup& group, const Bucket& bucket,
                std::vector<Tensor> pieces, const std::vector<Trainable>& params) {
  for (size_t holder = 1; holder < pieces.size(); ++holder) {
    add_to(ctx, pieces.front(), pieces[holder]);
  }
  unpack(ctx, gradients_of_owners(group, bucket, params)[group.me()], pieces.front());
}

Tensor values_tensor(Context& ctx, const std::vector<double>& values) {
  Tensor tensor = ctx.empty({static_cast<int64_t>(values.size())}, DType::kF64);
  tensor.read_from(values.data());
  return tensor;
}

// Everybody's list, read front to back.
class Gathered {
 public:
  Gathered(Context& ctx, Communicator& comm, const std::vector<double>& mine)
      : pieces_(start_all_gather(comm, values_tensor(ctx, mine), ctx.arena).finish()),
        next_(pieces_.size()) {}
  double take(size_t rank) { return std::as_const(pieces_[rank]).flat<double>()[next_[rank]++]; }

 private:
  std::vector<Tensor> pieces_;
  std::vector<size_t> next_;
};

// |gradient|^2 of the group's parameters, added to squares [params].
void add_squares(Context& ctx, SyncedGroup& group, const std::vector<Trainable>& params,
                 std::vector<double>& squares) {
  std::vector<double> mine;
  for (const Bucket& bucket : group.layout.buckets) {
    for (const ShardUnit& unit : bucket) {
      if (unit.owner != group.me()) continue;
      const std::vector<double> blocks = block_squares(ctx, gradient_of(unit, params));
      mine.insert(mine.end(), blocks.begin(), blocks.end());
    }
  }
  Gathered all(ctx, *group.comm, mine);
  for (const Bucket& bucket : group.layout.buckets) {
    for (const ShardUnit& unit : bucket) {
      for (int64_t at = 0; at < unit.elements; at += kSquaresBlock) {
        squares[unit.param] += all.take(unit.owner);
      }
    }
  }
}

}  // namespace

std::vector<SyncedGroup> synced_groups(Communicator& world, std::vector<HolderGroup> layouts) {
  std::vector<SyncedGroup> groups;
  for (HolderGroup& layout : layouts) {
    std::unique_ptr<Communicator> comm = world.group(layout.ranks);
    groups.push_back({std::move(layout), std::move(comm)});
  }
  return groups;
}

void for_each_exchange(std::vector<SyncedGroup>& groups,
                       FunctionRef<Exchange(SyncedGroup&, const Bucket&)> start,
                       FunctionRef<void(SyncedGroup&, const Bucket&, std::vector<Tensor>)> finish) {
  struct UnderWay {
    SyncedGroup* group;
    const Bucket* bucket;
    Exchange exchange;
  };
  std::deque<UnderWay> under_way;
  const auto finish_first = [&] {
    UnderWay& first = under_way.front();
    finish(*first.group, *first.bucket, first.exchange.finish());
    under_way.pop_front();
  };
  for (SyncedGroup& group : groups) {
    if (group.is_alone()) continue;
    for (const Bucket& bucket : group.layout.buckets) {
      if (under_way.size() == kExchangesUnderWay) finish_first();
      under_way.push_back({&group, &bucket, start(group, bucket)});
    }
  }
  while (!under_way.empty()) finish_first();
}

GradientSums::GradientSums(Context& ctx, std::vector<SyncedGroup>& groups,
                           const std::vector<Trainable>& params, const std::vector<int64_t>& layers)
    : ctx_(ctx), params_(params) {
  for (SyncedGroup& group : groups) {
    if (group.is_alone()) continue;
    for (size_t i = 0; i < group.layout.buckets.size(); ++i) {
      parts_.push_back({&group, i, layers[group.layout.buckets[i].front().param]});
    }
  }
  std::ranges::stable_sort(parts_, std::greater<>(), &Part::layer);
}

void GradientSums::layer_done(int64_t layer) {
  done_.insert(layer);
  while (!under_way_.empty() && under_way_.front().exchange.arrived()) finish_first();
  while (next_ < parts_.size() && under_way_.size() < kExchangesUnderWay &&
         done_.contains(parts_[next_].layer)) {
    start(parts_[next_++]);
  }
}

void GradientSums::finish() {
  while (next_ < parts_.size()) {
    if (under_way_.size() == kExchangesUnderWay) finish_first();
    start(parts_[next_++]);
  }
  while (!under_way_.empty()) finish_first();
}

void GradientSums::start(const Part& part) {
  const Bucket& bucket = part.group->layout.buckets[part.bucket];
  under_way_.push_back({part, start_sum(ctx_, *part.group, bucket, params_)});
}

void GradientSums::finish_first() {
  const Part part = under_way_.front().part;
  std::vector<Tensor> pieces = under_way_.front().exchange.finish();
  under_way_.pop_front();
  finish_sum(ctx_, *part.group, part.group->layout.buckets[part.bucket], std::move(pieces),
             params_);
}

std::vector<TrainedParameter> trained_parameters(const ModelConfig& config) {
  Arena unused;
  DeepseekV3 shapes = make_model(config, unused);
  std::vector<TrainedParameter> all;
  for (const NamedParam& each : named_params(shapes)) {
    if (each.kind != ParamKind::kRouteBias) all.push_back({each.position, each.name});
  }
  return all;
}

GradientNorm summed_gradient_norm(Context& ctx, Communicator& world, const Holders& holders,
                                  std::vector<SyncedGroup>& groups,
                                  const std::vector<Trainable>& params,
                                  const std::vector<int64_t>& positions,
                                  const std::vector<TrainedParameter>& all) {
  std::vector<double> own(params.size());
  for (SyncedGroup& group : groups) add_squares(ctx, group, params, own);
  std::vector<double> mine;  // that this rank speaks for
  for (size_t i = 0; i < params.size(); ++i) {
    if (holders.first_of(positions[i]) == world.rank()) mine.push_back(own[i]);
  }
  Gathered gathered(ctx, world, mine);
  std::vector<double> squares;
  for (const TrainedParameter& each : all) {
    squares.push_back(gathered.take(static_cast<size_t>(holders.first_of(each.position))));
  }
  return norm_of_squares(std::move(squares));
}

}  // namespace hadal
