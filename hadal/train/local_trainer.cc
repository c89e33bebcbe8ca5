#include "hadal/model/precision.h"
#include "hadal/train/ema.h"
#include "hadal/train/first_state.h"
#include "hadal/train/trainer.h"

namespace hadal {

const StepCount& LocalTrainer::begin(const TrainConfig& config, const ModelConfig& shape,
                                     const RunStart& start) {
  const TrainConfig::Parallel& ranks = config.parallel;
  require(ranks.pipeline == 1 && ranks.data <= 1 && ranks.expert == 1,
          {.field = "parallel.data",
           .problem = "this command computes on one rank, which would give other bits",
           .found = {"pipeline ", ranks.pipeline, ", data ", ranks.data, ", expert ", ranks.expert},
           .expected = "1 for each",
           .advice = "only `hadal train` and `hadal repeat` spread a run"});
  state_ = std::make_unique<TrainState>(
      ctx_.arena,
      first_weights(ctx_, shape, config, !start.checkpoint.empty(), HeldPart::whole(shape)),
      adamw_config(config.optimizer), config.optimizer.ema_decay > 0, config.train.seq_len,
      config.stability.older_router_steps);
  set_precision(state_->model, model_precision(config.precision));
  state_->model.config.fp8_power_of_two_scales = config.precision.scales == "power-of-two";
  return *state_;
}

RunProgress LocalTrainer::restore(const std::string& checkpoint) {
  return load_training_checkpoint(checkpoint, *state_);
}

void LocalTrainer::remake_working_weights() { hadal::remake_working_weights(ctx_, state_->model); }

StepReport LocalTrainer::compute_gradients(const Batch& batch, const StepPlan& plan, Probe* probe) {
  Context watched = ctx_;
  if (probe != nullptr) watched.probe = probe;
  return hadal::compute_gradients(watched, *state_, batch, plan);
}

void LocalTrainer::update(const Batch& batch, const StepPlan& plan, const StepReport& report) {
  update_state(ctx_, *state_, batch, plan, report);
}

void LocalTrainer::skip(const Batch& batch) { skip_update(ctx_, *state_, batch); }

void LocalTrainer::drop_gradients() { hadal::drop_gradients(ctx_, *state_); }

Evaluation LocalTrainer::evaluate(const std::vector<HeldOutBatch>& held_out) {
  return hadal::evaluate(ctx_, state_->model, held_out);
}

std::string LocalTrainer::save(const RunFolder& run, const RunProgress& progress,
                               const TrainingCheckpointOptions& options) {
  return save_training_checkpoint(ctx_, run, *state_, progress, options);
}

void LocalTrainer::swap_average() { swap_ema(ctx_, *state_); }

std::string LocalTrainer::save_average(const RunFolder& run,
                                       const TrainingCheckpointOptions& options) {
  return save_ema_model(ctx_, run, state_->model, options);
}

}  // namespace hadal
