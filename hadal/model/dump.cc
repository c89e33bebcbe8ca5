#include "hadal/model/dump.h"

#include "hadal/model/forward.h"
#include "hadal/model/training_pass.h"

namespace hadal {
namespace {

// Keeps what the layers offer while one sequence runs. An offered tensor may be written to after
// the offer, so it is copied.
class Recorder : public Probe {
 public:
  Recorder(Arena& arena, const ModelConfig& config, const DumpParts& parts,
           std::vector<NamedTensor>& out)
      : arena_(arena), config_(config), parts_(parts), out_(out) {}

  void start(size_t sequence) { prefix_ = concat("seq", sequence, "."); }

  void offer(std::string_view name, int layer, const Tensor& value) override {
    const int64_t depth = layer - config_.n_layers + 1;
    if (name == "logits" && parts_.logits) keep("logits", value);
    if (name == "hidden" && parts_.hidden) keep(concat("hidden.", layer), value);
    if (name == "final_norm" && parts_.hidden) keep("final_norm", value);
    if (name == "router.indices" && parts_.routing) {
      keep(concat("router.", layer, ".indices"), value);
    }
    if (name == "router.gates" && parts_.routing) keep(concat("router.", layer, ".gates"), value);
    if (name == "mtp.logits" && parts_.mtp) keep(concat("mtp.", depth, ".logits"), value);
    if (name == "mtp.hidden" && parts_.mtp) keep(concat("mtp.", depth, ".hidden"), value);
  }

 private:
  void keep(const std::string& name, const Tensor& value) {
    out_.push_back({prefix_ + name, value.clone(arena_)});
  }

  Arena& arena_;
  const ModelConfig& config_;
  const DumpParts& parts_;
  std::vector<NamedTensor>& out_;
  std::string prefix_;
};

// Token lists as inputs and targets.
struct TrainingBatch {
  std::vector<int32_t> tokens, targets;
  int64_t n_sequences = 0, length = 0;
  MicroBatch whole() const {
    return {tokens, targets, n_sequences, length, n_sequences * length, n_sequences};
  }
};

TrainingBatch training_batch(const TokenLists& lists) {
  TrainingBatch batch;
  const size_t length = lists.front().size();
  for (size_t s = 0; s < lists.size(); ++s) {
    require(lists[s].size() == length,
            {.field = "token_lists",
             .problem = "lists differ in length",
             .found = {lists[s].size(), " ids in list ", s},
             .expected = {length, " as in list 0"},
             .advice = "loss and gradients take the lists as one batch"});
    require(length >= 2, {.field = "token_lists",
                          .problem = "too short",
                          .found = "1 id",
                          .expected = "at least 2",
                          .advice = "the last id of a list is only a target"});
    batch.tokens.insert(batch.tokens.end(), lists[s].begin(), lists[s].end() - 1);
    batch.targets.insert(batch.targets.end(), lists[s].begin() + 1, lists[s].end());
  }
  batch.n_sequences = static_cast<int64_t>(lists.size());
  batch.length = static_cast<int64_t>(length) - 1;
  return batch;
}

std::vector<NamedTensor> loss_tensors(Context& ctx, const LossParts& loss,
                                      const LossWeights& weights) {
  std::vector<NamedTensor> out;
  const auto scalar = [&](const std::string& name, double value) {
    Tensor tensor = ctx.empty({});
    const auto rounded = static_cast<float>(value);
    tensor.read_from(&rounded);
    out.push_back({name, std::move(tensor)});
  };
  LossParts only_mtp;
  only_mtp.mtp = loss.mtp;
  scalar("loss.total", loss.total(weights));
  scalar("loss.ce", loss.ce);
  scalar("loss.mtp", only_mtp.total({.mtp = 1.0F}));
  for (size_t k = 0; k < loss.mtp.size(); ++k) scalar(concat("loss.mtp.", k + 1), loss.mtp[k]);
  scalar("loss.balance", loss.balance);
  return out;
}

}  // namespace

std::vector<NamedTensor> dump_inference(Context& ctx, const DeepseekV3& model,
                                        const TokenLists& lists, const DumpParts& parts) {
  std::vector<NamedTensor> out;
  Recorder recorder(ctx.arena, model.config, parts, out);
  Context listened = ctx;
  listened.probe = &recorder;
  for (size_t s = 0; s < lists.size(); ++s) {
    recorder.start(s);
    const auto length = static_cast<int64_t>(lists[s].size());
    forward_logits(listened, model, lists[s], Sequences::equal(1, length),
                   parts.mtp || parts.routing);
  }
  return out;
}

std::vector<NamedTensor> dump_loss(Context& ctx, const DeepseekV3& model, const TokenLists& lists,
                                   const LossWeights& weights) {
  const TrainingBatch batch = training_batch(lists);
  return loss_tensors(ctx, training_loss(ctx, model, batch.whole(), weights).loss, weights);
}

std::vector<NamedTensor> dump_gradients(Context& ctx, DeepseekV3& model, const TokenLists& lists,
                                        const LossWeights& weights) {
  const TrainingBatch batch = training_batch(lists);
  std::vector<NamedTensor> out =
      loss_tensors(ctx, forward_backward(ctx, model, batch.whole(), weights).loss, weights);
  for (const NamedParam& each : named_params(model)) {
    if (each.kind == ParamKind::kRouteBias) continue;
    out.push_back({"grad." + each.name, each.param->grad.share()});
  }
  return out;
}

}  // namespace hadal
