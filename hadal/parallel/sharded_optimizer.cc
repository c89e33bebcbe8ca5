#include "hadal/parallel/sharded_optimizer.h"

#include <algorithm>
#include <cmath>

#include "hadal/model/precision.h"
#include "hadal/ops/copy.h"
#include "hadal/ops/elementwise.h"
#include "hadal/parallel/first_report.h"

namespace hadal {
namespace {

std::vector<HeldParameter> held_parameters(const std::vector<NamedParam>& params) {
  std::vector<HeldParameter> held;
  for (const NamedParam& each : params) {
    if (each.kind == ParamKind::kRouteBias) continue;
    const bool in_layer = each.place.part == ParamPlace::Part::kLayer;
    held.push_back({each.position, each.shape, in_layer ? each.place.layer : -1});
  }
  return held;
}

std::vector<WorkingForm> forms_of(DeepseekV3& model, const std::vector<Trainable>& params) {
  std::map<const Param*, WorkingForm> known;
  for (const WorkingWeight& each : working_weights(model)) known[each.weight] = each.form;
  std::vector<WorkingForm> forms;
  for (const Trainable& each : params) {
    const auto it = known.find(each.param);
    forms.push_back(it == known.end() ? WorkingForm::kMaster : it->second);
  }
  return forms;
}

// The shard's values, where they are.
Tensor values_in_place(Shard& shard, const Trainable& of) {
  if (shard.master.has_data()) return shard.master.share();
  Tensor::Shape shape = of.param->shape();
  shape[0] = shard.last - shard.first;
  return Tensor::borrowed(DType::kF32, std::move(shape), shard.values(of).data(), nullptr);
}

// Where what products read of each holder's units lies.
std::vector<Stretches> weights_of_owners(const SyncedGroup& group, const Bucket& bucket,
                                         const AdamW& adamw,
                                         const std::vector<WorkingForm>& forms) {
  std::vector<Stretches> result(group.layout.ranks.size());
  for (const ShardUnit& unit : bucket) {
    Stretches& of_owner = result[unit.owner];
    for (const auto& each : working_bytes(*adamw.params()[unit.param].param, forms[unit.param],
                                          unit.first, unit.last)) {
      of_owner.push_back(each);
    }
  }
  return result;
}

template <class Body>
void for_each_unit(const std::vector<SyncedGroup>& groups, const Body& body) {
  for (const SyncedGroup& group : groups) {
    for (const Bucket& bucket : group.layout.buckets) {
      for (const ShardUnit& unit : bucket) body(group, unit);
    }
  }
}

}  // namespace

std::vector<Trainable> trainables(const std::vector<NamedParam>& params) {
  std::vector<Trainable> result;
  for (const NamedParam& each : params) {
    if (each.kind == ParamKind::kRouteBias)
      continue;  // moved by update_route_bias, not by gradient
    result.push_back({each.name, each.param, each.kind == ParamKind::kMatrix});
  }
  return result;
}

ShardedOptimizer::ShardedOptimizer(Context& ctx, Communicator& world, const Holders& holders,
                                   DeepseekV3& model, const AdamwConfig& config, bool with_average)
    : world_(world), holders_(holders), trained_(trained_parameters(model.config)) {
  const std::vector<NamedParam> named = named_params(model);
  const std::vector<HeldParameter> held = held_parameters(named);
  for (const HeldParameter& each : held) {
    positions_.push_back(each.position);
    layers_.push_back(each.layer);
  }
  std::vector<Trainable> params = trainables(named);
  forms_ = forms_of(model, params);
  groups_ = synced_groups(world, shard_layout(holders, world.rank(), held));
  remake_working_weights(ctx, model);
  std::vector<Shard> shards;
  for_each_unit(groups_, [&](const SyncedGroup& group, const ShardUnit& unit) {
    if (unit.owner == group.me()) shards.push_back({unit.param, unit.first, unit.last});
  });
  adamw_.emplace(ctx.arena, std::move(params), std::move(shards), config);
  keep_own_masters(ctx);
  if (with_average) average_.emplace(ctx.arena, adamw_->params(), adamw_->shards());
}

// Of weights that are read in another form and shared with other ranks.
void ShardedOptimizer::keep_own_masters(Context& ctx) {
  std::vector<bool> gone(forms_.size());
  for_each_unit(groups_, [&](const SyncedGroup& group, const ShardUnit& unit) {
    gone[unit.param] = !group.is_alone() && forms_[unit.param] != WorkingForm::kMaster;
  });
  for (Shard& shard : adamw_->shards()) {
    const Trainable& of = adamw_->params()[shard.param];
    if (gone[shard.param]) shard.master = values_in_place(shard, of).clone(ctx.arena);
  }
  for (size_t i = 0; i < gone.size(); ++i) {
    Param& param = *adamw_->params()[i].param;
    if (gone[i]) param.master = Tensor::borrowed(DType::kF32, param.shape(), nullptr, nullptr);
  }
}

void ShardedOptimizer::layer_done(Context& ctx, int64_t layer) {
  if (!sums_) sums_.emplace(ctx, groups_, adamw_->params(), layers_);
  sums_->layer_done(layer);
}

void ShardedOptimizer::finish_sums(Context& ctx) {
  if (!sums_) sums_.emplace(ctx, groups_, adamw_->params(), layers_);
  sums_->finish();
  sums_.reset();
}

GradientNorm ShardedOptimizer::sum_gradients(Context& ctx) {
  finish_sums(ctx);
  return summed_gradient_norm(ctx, world_, holders_, groups_, adamw_->params(), positions_,
                              trained_);
}

std::optional<std::string> ShardedOptimizer::find_not_finite(Context& ctx, const GradientNorm& norm,
                                                             int64_t step) {
  if (std::isfinite(norm.norm)) return std::nullopt;
  const std::vector<Trainable>& params = adamw_->params();
  // Rows of others are as this rank made them; the own ones are sums, and tell less.
  std::vector<int64_t> made(params.size()), summed(params.size());
  for_each_unit(groups_, [&](const SyncedGroup& group, const ShardUnit& unit) {
    const bool own = unit.owner == group.me() && !group.is_alone();
    const Shard shard{.param = unit.param, .first = unit.first, .last = unit.last};
    (own ? summed : made)[unit.param] += count_not_finite(ctx, shard.gradient(params[unit.param]));
  });
  std::optional<RankReport> mine;
  for (size_t i = 0; i < params.size(); ++i) {
    const int64_t bad = made[i] > 0 ? made[i] : summed[i];
    const int order = made[i] > 0 ? 0 : 1;
    if (bad == 0 || (mine && mine->order <= order)) continue;
    mine = RankReport{order,
                      concat("a gradient of step ", step, " is not finite (found ", bad, " of ",
                             params[i].param->grad.size(), " elements of ", params[i].name, ")")};
  }
  const std::optional<AgreedReport> first = first_report(world_, mine, ctx.arena);
  if (first) return concat("rank ", first->rank, ": ", first->text);
  return concat("the gradient norm of step ", step, " is not finite (found ", norm.norm, ")");
}

void ShardedOptimizer::step(Context& ctx, double lr, float grad_scale) {
  if (average_) average_->wait();
  adamw_->step(ctx, lr, grad_scale);
  for_each_unit(groups_, [&](const SyncedGroup& group, const ShardUnit& unit) {
    if (unit.owner == group.me()) return;  // zero already
    const Shard shard{.param = unit.param, .first = unit.first, .last = unit.last};
    fill(ctx, shard.gradient(adamw_->params()[unit.param]), 0.0F);
  });
  share_weights(ctx);
}

void ShardedOptimizer::drop_gradients(Context& ctx) {
  for_each_trainable(ctx, adamw_->params(), [&](size_t i) {
    fill(ctx, adamw_->params()[i].param->grad.flat<float>(), 0.0F);
  });
}

std::vector<Tensor> ShardedOptimizer::own_values() {
  std::vector<Tensor> values;
  for (Shard& shard : adamw_->shards()) {
    values.push_back(values_in_place(shard, adamw_->params()[shard.param]));
  }
  return values;
}

void ShardedOptimizer::gather(Context& ctx, const std::vector<Tensor>& values) {
  std::vector<WorkingRows> rows;
  std::vector<ByteCopy> copies;
  for (size_t i = 0; i < values.size(); ++i) {
    Shard& shard = adamw_->shards()[i];
    const Trainable& of = adamw_->params()[shard.param];
    if (forms_[shard.param] != WorkingForm::kMaster) {
      rows.push_back({of.param, forms_[shard.param], shard.first, &values[i]});
    } else if (const auto place = shard.values(of); place.data() != values[i].raw()) {
      copies.push_back({std::as_writable_bytes(place), std::as_bytes(values[i].flat<float>())});
    }
  }
  copy_bytes(ctx, copies);
  remake_working_rows(ctx, rows);
  for_each_exchange(
      groups_,
      [&](SyncedGroup& group, const Bucket& bucket) { return start_gather(ctx, group, bucket); },
      [&](SyncedGroup& group, const Bucket& bucket, const std::vector<Tensor>& pieces) {
        take_gathered(ctx, group, bucket, pieces);
      });
}

Exchange ShardedOptimizer::start_gather(Context& ctx, SyncedGroup& group, const Bucket& bucket) {
  const Stretches own = weights_of_owners(group, bucket, *adamw_, forms_)[group.me()];
  Tensor message = ctx.empty({total_bytes(own)}, DType::kU8);
  pack(ctx, message, own);
  return start_all_gather(*group.comm, message, ctx.arena);
}

void ShardedOptimizer::take_gathered(Context& ctx, const SyncedGroup& group, const Bucket& bucket,
                                     const std::vector<Tensor>& pieces) {
  const std::vector<Stretches> places = weights_of_owners(group, bucket, *adamw_, forms_);
  for (size_t holder = 0; holder < pieces.size(); ++holder) {
    if (holder != group.me()) unpack(ctx, places[holder], pieces[holder]);
  }
}

void ShardedOptimizer::show_average(Context& ctx) {
  hidden_ = own_values();
  for (size_t i = 0; i < hidden_.size(); ++i) {
    // Where products read the master itself, the average takes its place.
    if (forms_[adamw_->shards()[i].param] == WorkingForm::kMaster) {
      hidden_[i] = hidden_[i].clone(ctx.arena);
    }
  }
  gather(ctx, average_->tensors());
}

void ShardedOptimizer::show_weights(Context& ctx) {
  gather(ctx, hidden_);
  hidden_.clear();
}

}  // namespace hadal
