// train/team_trace.h: a run's steps that are recorded (parallel.trace).
#pragma once

#include "hadal/parallel/run_record.h"
#include "hadal/parallel/traced_communicator.h"
#include "hadal/train/config.h"

namespace hadal {

// Of one rank. Steps trace_first to trace_first + trace_steps - 1 are recorded, every second one without
// overlap, which changes no bit. The leading rank writes the file after each and tells of the hidden share
// after the last.
class TeamTrace {
 public:
  TeamTrace() { trace_.on = false; }
  RunTrace& of_rank() { return trace_; }
  bool on() const { return trace_.on; }
  // Whether chunks take turns in this step.
  bool begin(const TrainConfig::Parallel& settings, int64_t step);
  // All ranks together, after a recorded step.
  void end(Communicator& world, const PipelineSchedule& schedule, int32_t data, Arena& arena);

 private:
  RunTrace trace_;
  TrainConfig::Parallel settings_;
  int64_t step_ = 0;
  bool overlap_ = true;
  RunRecord record_;  // of the leading rank
};

}  // namespace hadal
