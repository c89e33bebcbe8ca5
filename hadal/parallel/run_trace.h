// parallel/run_trace.h: what ranks did in a run and when, in the terms of a simulated timeline
// (pipeline/simulator.h): both are drawn by one writer (pipeline/timeline_trace.h), and the simulator
// predicts a step from measured times.
//
// Seconds of one clock: of ranks on one host.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "hadal/comm/communicator.h"
#include "hadal/pipeline/simulator.h"
#include "hadal/pipeline/timeline_trace.h"

namespace hadal {

struct TimedWait {
  std::string_view network;  // static text: "pipeline", "experts"
  RankPlace place;
  int from = 0;  // rank of the communicator that was waited for
  int64_t bytes = 0;
  double start = 0, end = 0;
  double seconds() const { return end - start; }
};

struct
    TimedStep {  // of a cursor: a phase, and what follows up to the next start of a communication
  RankPlace place;
  double start = 0, end = 0;
};

// Of one rank. The executor adds computations and their steps, a TracedCommunicator waits.
struct RunTrace {
  std::vector<TimedAction>
      actions;  // of rank's list; a start is behind the wait for the first input
  std::vector<TimedStep> steps;
  std::vector<TimedWait> waits;
  RankPlace place;

  double waited(std::string_view network) const;  // seconds
};

// A communicator whose waits are noted. Both that it is made of outlive it.
class TracedCommunicator final : public Communicator {
 public:
  TracedCommunicator(Communicator& inner, RunTrace& trace, std::string_view network)
      : inner_(inner), trace_(trace), network_(network) {}

  int rank() const override { return inner_.rank(); }
  int n_ranks() const override { return inner_.n_ranks(); }
  void send(int to, int64_t tag, Tensor message) override {
    inner_.send(to, tag, std::move(message));
  }
  Receipt receive(int from, int64_t tag, const MessageForm& form, Arena& arena) override;
  void progress() override { inner_.progress(); }
  void finish_sends() override { inner_.finish_sends(); }
  void at(const RankPlace& place) override {
    trace_.place = place;
    inner_.at(place);
  }
  void fail(const std::string& reason) override { inner_.fail(reason); }
  std::unique_ptr<Communicator> group(const std::vector<int>& ranks) override {  // not traced
    return inner_.group(ranks);
  }

 private:
  Communicator& inner_;
  RunTrace& trace_;
  std::string_view network_;
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
