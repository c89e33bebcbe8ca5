// schedule/schedule_check.h: proves a pipeline schedule, one of ours or a user's. What it accepts,
// the executor and the simulator can run.
//
// A schedule is right when
//   - every chunk of every stage is computed once forward and once backward, both on the same rank
//     that holds the stage, and its weight part once, after B_in, first in first out, on that rank;
//   - every input is there before it is used: computed earlier on the same rank, or received;
//   - every tensor that changes rank is sent once, after it was made, and received once, between
//     the right ranks; on each ordered pair of ranks sends and receives stand in one order;
//   - no rank waits for ever, neither with asynchronous transfers nor with blocking ones;
//   - no rank stores more activations than the bound, if one is given.
// Time and memory are linear in the number of actions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "hadal/schedule/schedule.h"

namespace hadal {

struct RankFacts {
  int64_t n_forward = 0, n_backward = 0;  // chunks; a pair counts in both
  int64_t n_pairs = 0;                    // F&B
  int64_t n_weight = 0;                   // W on its own
  int64_t n_sends = 0, n_receives = 0;
  // Chunks between their F and the end of their B or B_in; those between B_in and the end of W,
  // which keep only what W needs; both together at one moment. For hadal's own schedules
  // activation_bound is the exact peak of the first and of the last.
  int64_t peak_activations = 0;
  int64_t peak_weight_queue = 0;
  int64_t peak_stored = 0;
};

// Asynchronous: sends leave at once, a computation waits for the tensors that it needs.
// Blocking: transfers that stand next to each other are one batch; the rank waits for all of it,
// and a transfer starts when both sides have posted it.
enum class Transfers : uint8_t { kAsynchronous, kBlocking };

struct ScheduleCheck {
  std::vector<std::string> violations;  // sentences; at most kMaxViolations of them
  int64_t n_violations = 0;             // all
  std::vector<RankFacts> ranks;         // [n_ranks]; empty if the extents themselves are wrong
  std::optional<Transfers> deadlock;    // under which transfers; looked for if all else holds
  bool ok() const { return n_violations == 0; }
};
constexpr size_t kMaxViolations = 20;

// Never throws on a wrong schedule. Actions are counted from 0 in each rank's list.
ScheduleCheck check_schedule(const PipelineSchedule& schedule,
                             std::optional<int64_t> max_activations = std::nullopt);

// The bound on a rank's peak_activations: stages for 1F1B, ZB1P and ZBV, stages + 1 for DualPipe and
// DualPipeV, stages + ranks for interleaved (docs/schedules.md, "The six schedules").
int64_t activation_bound(ScheduleKind kind, int32_t n_stages,
                         int32_t stages_per_rank = kInterleavedStages);

}  // namespace hadal
