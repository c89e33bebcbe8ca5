// train/run_plan.h: how many tokens a run will see; the schedules divide that number.
//
// A run limited by steps or tokens knows it at the start. One limited by time alone measures its
// own speed and plans the tokens that fit. It may plan again for as long as the learning rate is
// constant (no rate already used depends on the plan); then the plan stands, and is part of the
// checkpoint.
#pragma once

#include "hadal/train/config.h"

namespace hadal {

class RunPlan {
 public:
  explicit RunPlan(const TrainConfig& config);
  // Goes on with what a checkpoint says.
  void restore(int64_t planned_tokens, double elapsed_seconds);

  // After every step.
  void observe(const TrainingClock& clock, double elapsed_seconds);
  bool finished(const TrainingClock& clock, double elapsed_seconds) const;

  int64_t planned_tokens() const { return planned_tokens_; }  // 0: not known yet
  int64_t planned_steps() const;                              // 0: not known yet
  LearningRateSchedule learning_rates() const;
  double fraction_done(const TrainingClock& clock, double elapsed_seconds) const;

 private:
  bool by_time_alone() const;
  const TrainConfig& config_;
  int64_t planned_tokens_ = 0;
  TrainingClock measured_from_;  // speed is measured from here
  double measured_from_seconds_ = 0.0;
  double next_observation_ = 0.0;
  bool measuring_ = false;
};

}  // namespace hadal
