// train/team_trainer.h: the trainer of a run that is spread over ranks. The leading rank runs the session,
// the others follow() it.
#pragma once

#include "hadal/train/team_line.h"
#include "hadal/train/team_member.h"
#include "hadal/train/trainer.h"

namespace hadal {

class TeamTrainer final : public Trainer {
 public:
  TeamTrainer(Context& ctx, Communicator& world) : me_(ctx, world) {}
  ~TeamTrainer() override = default;

  const StepCount& begin(const TrainConfig& config, const ModelConfig& shape,
                         const RunStart& start) override;
  RunProgress restore(const std::string& checkpoint) override;
  void remake_working_weights() override {}  // follow the weights by themselves
  StepReport compute_gradients(const Batch& batch, const StepPlan& plan, Probe* probe) override;
  void update(const Batch& batch, const StepPlan& plan, const StepReport& report) override;
  void skip(const Batch& batch) override;
  void drop_gradients() override;
  Evaluation evaluate(const std::vector<HeldOutBatch>& held_out) override;
  std::string save(const RunFolder& run, const RunProgress& progress,
                   const TrainingCheckpointOptions& options) override;
  void swap_average() override;
  std::string save_average(const RunFolder& run, const TrainingCheckpointOptions& options) override;
  int n_ranks() const override { return me_.world().n_ranks(); }
  int threads() const override { return me_.context().pool.n_threads(); }

  // Whether all ranks have done what they were told, so that something else can be.
  bool settled() const { return settled_; }
  void end();  // the others return from follow(). REQUIRES settled()

 private:
  void tell(Json what, std::vector<Batch> batches = {});
  template <class Work>
  auto together(const Work& work) {
    settled_ = false;
    if constexpr (std::is_void_v<decltype(work())>) {
      work();
      settled_ = true;
    } else {
      auto result = work();
      settled_ = true;
      return result;
    }
  }
  TeamMember me_;
  bool average_shown_ = false, settled_ = true;
};

// Does what the leading rank says until it ends.
void follow(Context& ctx, Communicator& world);

}  // namespace hadal
