#include "hadal/parallel/run_trace.h"

#include <algorithm>

namespace hadal {
namespace {

double first_start(std::span<const RunTrace> ranks) {
  double first = 0.0;
  bool any = false;
  for (const RunTrace& rank : ranks) {
    if (rank.actions.empty()) continue;
    const double start = rank.actions.front().start;
    first = any ? std::min(first, start) : start;
    any = true;
  }
  return first;
}

double waited_within(const RunTrace& trace, const TimedAction& action) {
  double sum = 0.0;
  for (const TimedWait& wait : trace.waits) {
    if (wait.start >= action.start && wait.end <= action.end) sum += wait.seconds();
  }
  return sum;
}

struct Mean {
  double sum = 0.0;
  int64_t n = 0;
  void add(double value) {
    sum += value;
    ++n;
  }
  double value() const { return n > 0 ? sum / static_cast<double>(n) : 0.0; }
};

}  // namespace

double RunTrace::waited(std::string_view network) const {
  double sum = 0.0;
  for (const TimedWait& wait : waits) {
    if (wait.network == network) sum += wait.seconds();
  }
  return sum;
}

Simulation measured_timeline(std::span<const RunTrace> ranks) {
  const double origin = first_start(ranks);
  Simulation measured;
  measured.ranks.resize(ranks.size());
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    for (TimedAction action : ranks[rank].actions) {
      measured.ranks[rank].busy += action.end - action.start - waited_within(ranks[rank], action);
      action.rank = static_cast<int32_t>(rank);
      action.start -= origin;
      action.end -= origin;
      measured.makespan = std::max(measured.makespan, action.end);
      measured.timeline.push_back(action);
    }
  }
  for (RankTimes& rank : measured.ranks) rank.bubble = measured.makespan - rank.busy;
  return measured;
}

std::vector<TraceSlice> slices_within(std::span<const RunTrace> ranks) {
  const double origin = first_start(ranks);
  std::vector<TraceSlice> slices;
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    for (const TimedStep& step : ranks[rank].steps) {
      slices.push_back({static_cast<int32_t>(rank),
                        concat(step.place.phase, " ", step.place.micro_batch), "step",
                        step.start - origin, step.end - origin});
    }
    for (const TimedWait& wait : ranks[rank].waits) {
      if (wait.start < origin) continue;
      slices.push_back({static_cast<int32_t>(rank),
                        concat("wait for ", wait.network, ", ", wait.place.phase), "wait",
                        wait.start - origin, wait.end - origin});
    }
  }
  return slices;
}

PipelineTimes measured_times(const PipelineSchedule& schedule, std::span<const RunTrace> ranks) {
  struct StageMeans {
    Mean forward, backward, backward_input, weight;
  };
  std::vector<StageMeans> means(static_cast<size_t>(schedule.n_stages));
  const auto of = [&](Chunk chunk) -> StageMeans& {
    return means[static_cast<size_t>(chunk.stage)];
  };
  const auto for_each = [&](auto visit) {
    for (const RunTrace& rank : ranks) {
      for (const TimedAction& each : rank.actions) {
        visit(each.action, each.end - each.start - waited_within(rank, each));
      }
    }
  };
  for_each([&](const Action& action, double seconds) {
    if (action.kind == ActionKind::kForward) of(action.chunk).forward.add(seconds);
    if (action.kind == ActionKind::kBackward) of(action.chunk).backward.add(seconds);
    if (action.kind == ActionKind::kBackwardInput) of(action.chunk).backward_input.add(seconds);
    if (action.kind == ActionKind::kWeight) of(action.chunk).weight.add(seconds);
  });
  PipelineTimes times;
  times.stages.clear();
  for (const StageMeans& stage : means) {
    const double half = 0.5 * stage.backward.value();
    times.stages.push_back({stage.forward.value(),
                            stage.backward_input.n > 0 ? stage.backward_input.value() : half,
                            stage.weight.n > 0 ? stage.weight.value() : half});
  }
  double pairs = 0.0, apart = 0.0;
  for_each([&](const Action& action, double seconds) {
    if (!action.is_pair()) return;
    pairs += seconds;
    apart += times.stages[static_cast<size_t>(action.chunk.stage)].forward +
             times.stages[static_cast<size_t>(action.backward.stage)].backward();
  });
  if (apart > 0.0) times.pair_share = pairs / apart;
  return times;
}

}  // namespace hadal
