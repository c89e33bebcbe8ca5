// train/team_state.cc: a training state that lies with many ranks, to the disk and back.
//
// Every rank writes the rows that it owns into a file of its own, all at once. The model's weights go
// into one folder for all tools: the leading rank asks for one parameter after another.
#include <algorithm>

#include "hadal/ops/copy.h"
#include "hadal/train/state_tensors.h"
#include "hadal/train/team_member.h"

namespace hadal {
namespace {

// Tags of rows on their way to the leading rank.
constexpr int64_t kAsk = 1, kRows = 2;

Tensor copy_of(Arena& arena, std::span<const float> values, const Shape& shape) {
  Tensor copy = Tensor::empty(arena, DType::kF32, shape);
  copy.read_from(values.data());
  return copy;
}

std::vector<int32_t> numbers_of(const Tensor& message) {
  const std::span<const int32_t> numbers = message.flat<int32_t>();
  return {numbers.begin(), numbers.end()};
}

Shape rows_of(const Shape& whole, int64_t first, int64_t last) {
  Shape shape = whole;
  shape[0] = last - first;
  return shape;
}

}  // namespace

void TeamMember::write_state(const std::string& folder) {
  Phase& p = *phase_;
  AdamW& adamw = p.optimizer->adamw();
  if (p.optimizer->average()) p.optimizer->average()->wait();
  std::vector<std::pair<std::string, Tensor>> masters;
  std::vector<std::pair<std::string, const Tensor*>> tensors;
  std::vector<Shard>& shards = adamw.shards();
  masters.reserve(shards.size() + p.params.size());
  for (size_t i = 0; i < shards.size(); ++i) {
    Shard& shard = shards[i];
    const Trainable& of = adamw.params()[shard.param];
    const Shape& whole = of.param->shape();
    const auto piece = [&](const char* what) {
      return piece_name(concat(what, of.name), shard.first, shard.last, whole[0]);
    };
    masters.emplace_back(piece("master."),  // where they are
                         Tensor::borrowed(DType::kF32, rows_of(whole, shard.first, shard.last),
                                          shard.values(of).data(), nullptr));
    tensors.emplace_back(piece("m."), &adamw.moments()[i].m);
    tensors.emplace_back(piece("v."), &adamw.moments()[i].v);
    if (p.optimizer->average()) {
      tensors.emplace_back(piece("ema."), &p.optimizer->average()->tensors()[i]);
    }
  }
  for (const NamedParam& each : p.params) {
    if (each.kind != ParamKind::kRouteBias) continue;
    if (p.holders.first_of(each.position) != world_.rank()) continue;
    masters.emplace_back("master." + each.name, each.param->master.share());
  }
  for (const auto& [name, tensor] : masters) tensors.emplace_back(name, &tensor);
  write_safetensors(folder + "/" + state_file_name(world_.rank(), world_.n_ranks()), tensors);
}

RunProgress TeamMember::restore(const std::string& checkpoint) {
  Phase& p = *phase_;
  AdamW& adamw = p.optimizer->adamw();
  const StateTensors stored(checkpoint);
  if (p.optimizer->average()) p.optimizer->average()->wait();
  for (NamedParam& each : p.params) {
    if (each.param->master.has_data()) stored.read("master." + each.name, each.param->master);
  }
  for (size_t i = 0; i < adamw.shards().size(); ++i) {
    Shard& shard = adamw.shards()[i];
    const Trainable& of = adamw.params()[shard.param];
    const Shape& whole = of.param->shape();
    if (shard.master.has_data()) {
      stored.read("master." + of.name, shard.master, shard.first, whole);
    }
    stored.read("m." + of.name, adamw.moments()[i].m, shard.first, whole);
    stored.read("v." + of.name, adamw.moments()[i].v, shard.first, whole);
    if (p.optimizer->average()) {
      stored.read("ema." + of.name, p.optimizer->average()->tensors()[i], shard.first, whole);
    }
  }
  p.optimizer->share_weights(ctx_);
  return read_counts(checkpoint, p.count, adamw);
}

// What the model computes with, in F32: the average while that is shown.
std::span<const float> TeamMember::shown(size_t shard) {
  ShardedOptimizer& optimizer = *phase_->optimizer;
  if (average_shown_) return std::as_const(optimizer.average()->tensors()[shard]).flat<float>();
  Shard& own = optimizer.adamw().shards()[shard];
  return own.values(optimizer.adamw().params()[own.param]);
}

std::vector<TeamMember::Rows> TeamMember::own_rows(int64_t position) {
  Phase& p = *phase_;
  const auto here = std::ranges::find(p.params, position, &NamedParam::position);
  std::vector<Rows> rows;
  if (here == p.params.end()) return rows;
  if (here->kind == ParamKind::kRouteBias) {
    if (p.holders.first_of(position) == world_.rank()) {
      rows.push_back({0, here->param->master.clone(ctx_.arena)});
    }
    return rows;
  }
  AdamW& adamw = p.optimizer->adamw();
  for (size_t i = 0; i < adamw.shards().size(); ++i) {
    Shard& shard = adamw.shards()[i];
    const Trainable& of = adamw.params()[shard.param];
    if (of.param != here->param) continue;
    rows.push_back({shard.first, copy_of(ctx_.arena, shown(i),
                                         rows_of(of.param->shape(), shard.first, shard.last))});
  }
  return rows;
}

Tensor TeamMember::collect(int64_t position, const Shape& shape) {
  const std::vector<int>& holders = phase_->holders.of(position);
  if (!leads()) {
    if (std::ranges::find(holders, world_.rank()) == holders.end()) return {};
    // Asked for one after the other, so that a rank never copies more than a parameter.
    world_.receive(0, kAsk, {DType::kI32, {-1}}, ctx_.arena).wait();
    std::vector<Rows> rows = own_rows(position);
    std::vector<int32_t> firsts;
    for (const Rows& each : rows) firsts.push_back(static_cast<int32_t>(each.first));
    Tensor message = ctx_.empty({std::ssize(firsts)}, DType::kI32);
    if (!firsts.empty()) message.read_from(firsts.data());
    world_.send(0, kRows, std::move(message));
    for (Rows& each : rows) world_.send(0, kRows, std::move(each.values));
    return {};
  }
  Tensor whole = ctx_.empty(shape);
  const auto put = [&](int64_t first, const Tensor& rows) {
    const auto at = static_cast<size_t>(first * (whole.size() / std::max<int64_t>(1, shape[0])));
    const auto n = static_cast<size_t>(rows.size());
    const ByteCopy copy{std::as_writable_bytes(whole.flat<float>().subspan(at, n)),
                        std::as_bytes(rows.flat<float>())};
    copy_bytes(ctx_, {&copy, 1});
  };
  for (const int holder : holders) {
    if (holder == 0) {
      for (const Rows& each : own_rows(position)) put(each.first, each.values);
      continue;
    }
    world_.send(holder, kAsk, ctx_.empty({0}, DType::kI32));
    const std::vector<int32_t> firsts =
        numbers_of(world_.receive(holder, kRows, {DType::kI32, {-1}}, ctx_.arena).wait());
    MessageForm form{DType::kF32, shape};
    form.shape[0] = -1;
    for (const int32_t first : firsts) {
      put(first, world_.receive(holder, kRows, form, ctx_.arena).wait());
    }
  }
  return whole;
}

void TeamMember::write_model(const std::string& folder, const TrainingCheckpointOptions& options) {
  const std::vector<SavedParameter> saved = saved_parameters(phase_->model.config);
  const auto values = [&](size_t i) { return collect(saved[i].position, saved[i].shape); };
  if (!leads()) {
    for (size_t i = 0; i < saved.size(); ++i) values(i);
    return;
  }
  SaveOptions save;
  save.dtype = options.dtype;
  save_model(ctx_, folder, phase_->model.config, saved, save, values);
  copy_tokenizer(folder, options);
}

}  // namespace hadal
