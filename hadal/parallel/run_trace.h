// parallel/run_trace.h: what ranks did in a run and when, in the terms of a simulated timeline
// (pipeline/simulator.h): both are drawn by one writer (pipeline/timeline_trace.h), and the simulator
// predicts a step from measured times.
//
// Seconds of one clock: of ranks on one host, or of the first rank (parallel/trace_gather.h).
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "hadal/comm/communicator.h"
#include "hadal/pipeline/simulator.h"
#include "hadal/pipeline/timeline_trace.h"

namespace hadal {

// The same at both ends of a message, and no other's.
struct MessageKey {
  int from = 0, to = 0;  // world ranks
  int64_t group = 0;     // of the ranks that the communicator has
  int64_t tag = 0;
  int64_t number = 0;  // of those before it with the same of all the rest
  auto operator<=>(const MessageKey&) const = default;
};

struct TimedSend {
  MessageKey message;
  int64_t bytes = 0;
  double at = 0;
};

struct TimedWait {
  std::string_view network;  // static text: "pipeline", "experts", "gradients"
  RankPlace place;
  int from = 0;  // rank of the communicator that was waited for
  int64_t bytes = 0;
  double start = 0, end = 0;
  MessageKey message = {};
  double seconds() const { return end - start; }
};

// Of a cursor: a phase, and what follows up to the next start of a communication.
struct TimedStep {
  RankPlace place;
  double start = 0, end = 0;
};

// Of one rank. The executor adds computations and their steps, a TracedCommunicator what travels.
struct RunTrace {
  bool on = true;             // false: nothing is added
  double start = 0, end = 0;  // of the training step
  std::vector<TimedAction>
      actions;  // of rank's list; a start is behind the wait for the first input
  std::vector<TimedStep> steps;
  std::vector<TimedSend> sends;
  std::vector<TimedWait> waits;
  RankPlace place;
  // Set by who waits for one of several messages: the wait for the one that it takes has lasted since then.
  std::optional<double> idle_since;

  double waited(std::string_view network) const;  // seconds
  void clear() {
    const bool kept = on;
    *this = {};
    on = kept;
  }
};

// One trace a rank of the pipeline, in order. Time 0 is the first start; a rank is busy where it computes
// and does not wait, the rest is its bubble. Its idle_share() is the measured bubble.
Simulation measured_timeline(std::span<const RunTrace> ranks);
// Steps and waits on the same axis. Categories "step" and "wait".
std::vector<TraceSlice> slices_within(std::span<const RunTrace> ranks);

// Means of every stage's chunks, waits left out; pair_share from the pairs. What simulate() predicts from
// them is the step without any communication that is not hidden.
PipelineTimes measured_times(const PipelineSchedule& schedule, std::span<const RunTrace> ranks);

// How much of its communication a run hid: exposed seconds were waited for, `alone` is what the same
// communication takes when nothing is computed meanwhile.
inline double hidden_fraction(double exposed, double alone) { return 1.0 - exposed / alone; }

}  // namespace hadal
