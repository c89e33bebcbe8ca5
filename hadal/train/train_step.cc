#include "hadal/train/train_step.h"

#include <algorithm>

#include "hadal/model/precision.h"
#include "hadal/ops/elementwise.h"
#include "hadal/optim/gradient_clip.h"
#include "hadal/parallel/sharded_optimizer.h"
#include "hadal/train/expert_balance.h"

namespace hadal {
namespace {

void count(TrainState& state, const Batch& batch) {
  ++state.steps;
  state.tokens += batch.n_sequences * batch.length;
}

}  // namespace

std::vector<MicroBatch> micro_batches(const Batch& batch, int64_t n_sequences) {
  const int64_t batch_targets =
      std::count_if(batch.targets.begin(), batch.targets.end(), [](int32_t id) { return id >= 0; });
  std::vector<MicroBatch> result;
  for (int64_t first = 0; first < batch.n_sequences; first += n_sequences) {
    const int64_t n = std::min(n_sequences, batch.n_sequences - first);
    const auto begin = static_cast<size_t>(first * batch.length);
    const auto count = static_cast<size_t>(n * batch.length);
    result.push_back({std::span(batch.tokens).subspan(begin, count),
                      std::span(batch.targets).subspan(begin, count), n, batch.length,
                      batch_targets, batch.n_sequences});
  }
  return result;
}

TrainState::TrainState(Arena& arena, DeepseekV3 initial, const AdamwConfig& adamw, bool with_ema,
                       int64_t seq_len, int64_t router_history)
    : model(std::move(initial)),
      params(named_params(model)),
      optimizer(arena, trainables(params), adamw),
      routers(arena, model, router_history) {
  model.ensure_rope(arena, seq_len);
  allocate_gradients(model, arena);
  if (with_ema) average.emplace(arena, optimizer.params(), optimizer.shards());
}

StepReport compute_gradients(Context& ctx, TrainState& state, const Batch& batch,
                             const StepPlan& plan) {
  const int64_t step = state.steps + 1;
  StepReport report;
  OutputProbe outputs(ctx, report.layers.outputs);
  Context listening = ctx;
  if (plan.with_layers) listening.probe = &outputs;
  if (plan.choose_by_older_router) state.routers.choose_by_oldest();
  for (const MicroBatch& micro : micro_batches(batch, plan.micro_batch_sequences)) {
    const TrainingResult result =
        forward_backward(listening, state.model, micro, plan.loss, plan.recompute);
    report.not_finite = find_not_finite_loss(ctx, state.model, micro, result.loss, plan.loss, step);
    report.loss.add(result.loss);
    add_load(report.load, result.load);
    if (report.not_finite) break;
  }
  state.routers.choose_by_current();
  report.total_loss = report.loss.total(plan.loss);
  if (report.not_finite) return report;

  const GradientNorm norm = gradient_norm(ctx, state.optimizer.params());
  report.not_finite = find_not_finite_gradient(ctx, norm, state.optimizer.params(), step);
  report.grad_norm = norm.norm;
  report.clip = clip_factor(norm.norm, plan.clip_norm);
  if (plan.with_layers) {
    add_gradient_figures(report.layers, norm, state.optimizer.params(), report.load);
  }
  return report;
}

void update_state(Context& ctx, TrainState& state, const Batch& batch, const StepPlan& plan,
                  const StepReport& report) {
  state.routers.remember(ctx.arena);
  if (state.average) state.average->wait();
  state.optimizer.step(ctx, plan.learning_rate, static_cast<float>(report.clip));
  remake_working_weights(ctx, state.model);
  update_route_biases(state.model, report.load, plan.bias_gamma);
  if (state.average) state.average->begin_update(ctx, static_cast<float>(plan.ema_decay));
  count(state, batch);
}

void update_route_biases(DeepseekV3& model, const ExpertLoad& load, double gamma) {
  for (size_t layer = 0; layer < load.size(); ++layer) {
    const size_t n_main = model.layers.size();
    DecoderLayer& block = layer < n_main ? model.layers[layer] : model.mtp[layer - n_main].layer;
    Moe* moe = block.moe();
    if (moe && moe->route_bias.master.has_data()) {
      update_route_bias(moe->route_bias, load[layer], static_cast<float>(gamma));
    }
  }
}

void skip_update(Context& ctx, TrainState& state, const Batch& batch) {
  drop_gradients(ctx, state);
  count(state, batch);
}

void drop_gradients(Context& ctx, TrainState& state) {
  for_each_trainable(ctx, state.optimizer.params(), [&](size_t i) {
    fill(ctx, state.optimizer.params()[i].param->grad.flat<float>(), 0.0F);
  });
}

StepReport train_step(Context& ctx, TrainState& state, const Batch& batch, const StepPlan& plan) {
  StepReport report = compute_gradients(ctx, state, batch, plan);
  if (report.not_finite) throw Error("train: " + report.not_finite->text + kNothingUpdated);
  update_state(ctx, state, batch, plan, report);
  return report;
}

std::vector<double> violations(const ExpertLoad& load) {
  std::vector<double> result;
  for (const auto& layer : load) {
    if (!layer.empty()) result.push_back(max_violation(layer));
  }
  return result;
}

}  // namespace hadal
