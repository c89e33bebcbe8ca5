// train/team_member.h: one rank's part in the training of a model: its stages and experts, its share of the
// optimizer's state. All ranks do the same things in the same order, as the leading one tells them
// (train/team_trainer.h), and come to the same losses, norms and decisions.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "hadal/parallel/expert_dispatcher.h"
#include "hadal/parallel/pipeline_executor.h"
#include "hadal/parallel/sharded_optimizer.h"
#include "hadal/train/config.h"
#include "hadal/train/evaluate.h"
#include "hadal/train/team_trace.h"
#include "hadal/train/train_step.h"
#include "hadal/train/training_checkpoint.h"

namespace hadal {

class TeamMember {
 public:
  TeamMember(Context& ctx, Communicator& world)
      : ctx_(ctx), world_(world), synced_(world, trace_.of_rank(), "gradients") {}
  TeamMember(const TeamMember&) = delete;
  TeamMember& operator=(const TeamMember&) = delete;

  // A phase begins: the weights that the run begins with. ConfigError where the layout does not fit.
  const StepCount& begin(const TrainConfig& config, const ModelConfig& shape, bool from_checkpoint);
  RunProgress restore(const std::string& checkpoint);

  StepReport compute_gradients(const Batch& batch, const StepPlan& plan);
  void update(const Batch& batch, const StepPlan& plan);  // from the gradients computed last
  void skip(const Batch& batch);
  void drop_gradients();

  Evaluation evaluate(const std::vector<HeldOutBatch>& held_out);
  void show_average();
  void show_weights();

  // This rank's file of the training state, in `folder`, whole on the disk.
  void write_state(const std::string& folder);
  // The model's weights in a folder that any tool loads; the leading rank writes what the others send.
  void write_model(const std::string& folder, const TrainingCheckpointOptions& options);

  const StepCount& count() const { return phase_->count; }
  int64_t updates() const { return phase_->optimizer->adamw().steps(); }
  bool leads() const { return world_.rank() == 0; }
  Communicator& world() const { return world_; }
  Context& context() const { return ctx_; }

 private:
  // What a phase has; the groups of ranks stay for the run.
  struct Phase {
    TrainConfig config;
    ModelConfig shape;
    ParallelConfig layout;
    std::vector<StageCut> cuts;
    Holders holders;
    DeepseekV3 model;
    std::vector<NamedParam> params;
    std::optional<ShardedOptimizer> optimizer;
    std::map<int64_t, std::unique_ptr<PipelineExecutor>> executors;  // by micro-batches
    const PipelineSchedule* schedule = nullptr;                      // of the step under way
    StepCount count;
    StepReport report;
  };
  PipelineExecutor& executor(int64_t n_micro_batches);
  std::vector<MicroBatch> own_micro_batches(const Batch& batch, const StepPlan& plan) const;
  void count_in(const Batch& batch);
  std::optional<BatchScore> score_here(const HeldOutBatch& held_out);
  int place_of_stage(int32_t stage) const;
  struct Rows {
    int64_t first = 0;
    Tensor values;  // F32
  };
  std::span<const float> shown(size_t shard);
  std::vector<Rows> own_rows(int64_t position);
  // A parameter's F32 values, on the leading rank. All ranks call it.
  Tensor collect(int64_t position, const Shape& shape);

  Context& ctx_;
  Communicator& world_;
  TeamTrace trace_;
  TracedCommunicator synced_;  // the world, for gradients and weights
  std::optional<RankGroups> groups_;
  std::optional<TracedCommunicator> pipeline_, experts_;
  std::unique_ptr<TokenDispatcher> dispatcher_;
  std::unique_ptr<Phase> phase_;
  bool average_shown_ = false;
};

}  // namespace hadal
