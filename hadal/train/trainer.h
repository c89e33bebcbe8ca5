// train/trainer.h: who makes the steps of a run. A session (train/pretrain.cc) decides what is done with
// each batch; a trainer does it with the state, alone (here) or as the first of several ranks
// (train/team_trainer.h).
//
// The state belongs to the trainer: a session sees how far it is.
#pragma once

#include <memory>

#include "hadal/train/evaluate.h"
#include "hadal/train/run_start.h"
#include "hadal/train/train_step.h"
#include "hadal/train/training_checkpoint.h"

namespace hadal {

class Trainer {
 public:
  virtual ~Trainer() = default;

  // The state of a phase: the weights that the run begins with; restore() reads a checkpoint into them.
  // `config`: the phase's settings.
  virtual const StepCount& begin(const TrainConfig& config, const ModelConfig& shape,
                                 const RunStart& start) = 0;
  virtual RunProgress restore(const std::string& checkpoint) = 0;
  // The forms that products read follow the weights again: after begin() and restore().
  virtual void remake_working_weights() = 0;

  // As in train/train_step.h. The probe listens to this rank.
  virtual StepReport compute_gradients(const Batch& batch, const StepPlan& plan, Probe* probe) = 0;
  virtual void update(const Batch& batch, const StepPlan& plan, const StepReport& report) = 0;
  virtual void skip(const Batch& batch) = 0;
  virtual void drop_gradients() = 0;

  virtual Evaluation evaluate(const std::vector<HeldOutBatch>& held_out) = 0;
  virtual std::string save(const RunFolder& run, const RunProgress& progress,
                           const TrainingCheckpointOptions& options) = 0;
  // Exchanges the weights with their average, once more back. REQUIRES an average.
  virtual void swap_average() = 0;
  virtual std::string save_average(const RunFolder& run,
                                   const TrainingCheckpointOptions& options) = 0;
  virtual int n_ranks() const = 0;
  virtual int threads() const = 0;  // that compute a micro-batch
  // What has everything in it; nullptr where it is spread over ranks.
  virtual TrainState* whole_state() { return nullptr; }
};

class LocalTrainer final : public Trainer {
 public:
  explicit LocalTrainer(Context& ctx) : ctx_(ctx) {}
  const StepCount& begin(const TrainConfig& config, const ModelConfig& shape,
                         const RunStart& start) override;
  RunProgress restore(const std::string& checkpoint) override;
  void remake_working_weights() override;
  StepReport compute_gradients(const Batch& batch, const StepPlan& plan, Probe* probe) override;
  void update(const Batch& batch, const StepPlan& plan, const StepReport& report) override;
  void skip(const Batch& batch) override;
  void drop_gradients() override;
  Evaluation evaluate(const std::vector<HeldOutBatch>& held_out) override;
  std::string save(const RunFolder& run, const RunProgress& progress,
                   const TrainingCheckpointOptions& options) override;
  void swap_average() override;
  std::string save_average(const RunFolder& run, const TrainingCheckpointOptions& options) override;
  int n_ranks() const override { return 1; }
  int threads() const override { return ctx_.pool.n_threads(); }
  TrainState* whole_state() override { return state_.get(); }

 private:
  Context& ctx_;
  std::unique_ptr<TrainState> state_;
};

}  // namespace hadal
