// pipeline/simulator.h: what a schedule costs in time and stored activations, without a
// device.
//
// Every rank executes its list in order; a computation starts when its rank is free and its inputs
// have arrived. Times are in any one unit (seconds in `hadal plan`, "units" in `hadal pipeline`).
// What unit times give: docs/pipeline.md, "What the simulator assumes".
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "hadal/schedule/schedule.h"

namespace hadal {

// One stage's times for one micro-batch.
struct StageTimes {
  double forward = 1.0;         // F
  double backward_input = 1.0;  // B_in
  double weight = 1.0;          // W
  double backward() const { return backward_input + weight; }
};

struct PipelineTimes {
  std::vector<StageTimes> stages =
      std::vector<StageTimes>(1);  // one entry for all stages, or one per stage
  // Duration of an overlapped pair as a share of F + B of its two chunks. 1: nothing gained.
  double pair_share = 1.0;
  std::optional<double> pair;  // duration of every pair, in place of pair_share * (F + B)
  // A transfer takes `latency + bytes / bandwidth`. Those of one ordered pair of ranks share a
  // link: the next begins when the bytes of the one before are through. bandwidth 0: unlimited.
  // Ranks that are not neighbours reach each other through all ranks between; the slowest link
  // counts.
  double latency = 0.0;
  double bytes = 0.0;
  std::vector<double> bandwidth = {0.0};  // one for all, or per pair of neighbouring ranks [P-1]
  // false: transfers run beside computation; a tensor leaves when it has been computed, wherever
  // the list posts its send (asynchronous, receives posted ahead).
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
// cool-down; in between the rank waits for a tensor that somebody has not computed yet (of several
// the last to arrive counts), or that is on its way.
struct RankTimes {
  double busy = 0, bubble = 0;  // bubble = warm_up + waiting + cool_down
  double warm_up = 0, cool_down = 0, waiting = 0;
  double transfer = 0;                    // of `waiting`: the tensor is on its way
  std::map<int32_t, double> waiting_for;  // of `waiting`: this rank has yet to compute it; under
                                          // blocking transfers: has yet to post it
  int64_t peak_activations = 0;           // chunks between their F and their B (or B_in)
  int64_t peak_weight_queue = 0;          // chunks between their B_in and their W
};

struct Simulation {
  double makespan = 0;
  std::vector<RankTimes> ranks;
  std::vector<TimedAction> timeline;  // rank by rank, in order of time

  // Idle share of all ranks' time, 0 to 1.
  double idle_share() const;
};

enum class Timeline { kKeep, kDrop };  // a search over layouts needs no pictures

// Time and memory are linear in the actions. ConfigError for negative or not finite times, results
// that overflow, or vectors of a wrong length. REQUIRES a schedule that schedule/schedule_check
// accepts.
Simulation simulate(const PipelineSchedule& schedule, const PipelineTimes& times,
                    Timeline timeline = Timeline::kKeep);

}  // namespace hadal
