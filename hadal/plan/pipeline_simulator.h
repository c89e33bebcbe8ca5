// plan/pipeline_simulator.h: what a schedule costs in time and stored activations, without a
// device.
//
// Every rank executes its list in order; a computation starts when its rank is free and its input
// has arrived. Times are in any one unit (seconds in `hadal plan`, "units" in `hadal pipeline`).
// Source of the published vectors: spec 04, sections 3 to 5.
#pragma once

#include <cstdint>
#include <vector>

#include "hadal/parallel/schedule.h"

namespace hadal {

// One stage's times for one micro-batch.
struct StageTimes {
  double forward = 1.0;         // F
  double backward_input = 1.0;  // B_in
  double weight = 1.0;          // W
  double backward() const { return backward_input + weight; }
};

struct PipelineTimes {
  std::vector<StageTimes> stages = {{}};  // one entry for all stages, or one per stage
  // Duration of an overlapped pair as a share of F + B of its two chunks. 1: nothing gained.
  double pair_share = 1.0;
  // A transfer arrives `latency + bytes / bandwidth` after it was sent; transfers of one ordered
  // pair of ranks follow each other. bandwidth 0: unlimited.
  double latency = 0.0;
  double bytes = 0.0;
  std::vector<double> bandwidth = {0.0};  // one for all, or per pair of neighbouring ranks [P-1]
  // false: transfers run beside computation (asynchronous, receives posted ahead).
  // true: a rank waits for each batch of transfers, and a transfer starts when both sides posted
  // it.
  bool blocking = false;
};

struct TimedAction {
  int32_t rank = 0;
  Action action;  // computations only
  double start = 0, end = 0;
};

// Idle time by cause. A wait before the rank's first computation is warm-up, one after its last
// cool-down; in between the rank waits for the named neighbour's tensor.
struct RankTimes {
  double busy = 0, bubble = 0;
  double warm_up = 0, cool_down = 0, waiting = 0;
  std::vector<double> waiting_for;  // [n_ranks] parts of `waiting`; own rank: blocked by transfers
  int64_t peak_activations = 0;     // chunks between their F and their B (or B_in)
  int64_t peak_weight_queue = 0;    // chunks between their B_in and their W
};

struct Simulation {
  double makespan = 0;
  std::vector<RankTimes> ranks;
  std::vector<TimedAction> timeline;  // rank by rank, in order of time
};

// ConfigError for negative or not finite times, or vectors of a wrong length. REQUIRES a schedule
// that parallel/schedule_check accepts.
Simulation simulate(const PipelineSchedule& schedule, const PipelineTimes& times);

}  // namespace hadal
