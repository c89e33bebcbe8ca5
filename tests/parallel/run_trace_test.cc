#include "hadal/parallel/run_trace.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "hadal/core/json.h"
#include "hadal/parallel/overlap_report.h"
#include "tests/support/pipeline_case.h"

namespace hadal::test {
namespace {

PipelineCase dualpipe() {
  ModelConfig config = odd_config();
  config.n_layers = 4;
  return {config, ScheduleKind::kDualPipe, 2, 8};
}

TEST(RunTrace, HoldsEveryComputationOfTheListInItsOrder) {
  const PipelineCase of = dualpipe();
  const PipelineResult result(of);
  for (size_t rank = 0; rank < 2; ++rank) {
    std::vector<Action> want;
    for (const Action& action : of.schedule.ranks[rank]) {
      if (!action.is_transfer()) want.push_back(action);
    }
    std::vector<Action> got;
    double free_at = 0.0;
    for (const TimedAction& each : result.traces[rank].actions) {
      EXPECT_GE(each.start, free_at);
      EXPECT_GE(each.end, each.start);
      free_at = each.end;
      got.push_back(each.action);
    }
    EXPECT_EQ(got, want);
    // A chunk of n layers with experts has 2 n + 1 steps each way; in a pair the two take turns.
    size_t n_steps = 0;
    for (const TimedAction& each : result.traces[rank].actions) {
      const auto steps_of = [&](Chunk chunk) { return chunk.stage == 0 ? size_t{3} : size_t{7}; };
      if (each.action.goes_forward()) n_steps += steps_of(each.action.chunk);
      if (each.action.goes_backward()) n_steps += steps_of(each.action.backward_chunk());
      if (each.action.kind == ActionKind::kWeight) ++n_steps;
    }
    EXPECT_EQ(result.traces[rank].steps.size(), n_steps);  // experts are here: no W is late
    const auto receives = std::ranges::count_if(of.schedule.ranks[rank], [](const Action& action) {
      return action.kind == ActionKind::kReceive;
    });
    EXPECT_EQ(std::ssize(result.traces[rank].waits), receives);
    EXPECT_GT(result.traces[rank].waited("pipeline"), 0.0);
    EXPECT_EQ(result.traces[rank].waited("experts"), 0.0);
  }
}

// By hand: rank 0 computes [10,13], of which it waits 1, and rank 1 [12,16].
TEST(RunTrace, ATimelineIsBusyWhereARankDoesNotWait) {
  std::vector<RunTrace> ranks(2);
  const Action forward{.kind = ActionKind::kForward}, backward{.kind = ActionKind::kBackward};
  ranks[0].actions = {{0, forward, 10, 13}};
  ranks[0].waits = {{"pipeline", {}, 1, 8, 9, 9.5}, {"experts", {}, 1, 8, 11, 12}};
  ranks[1].actions = {{1, backward, 12, 16}};
  const Simulation timeline = measured_timeline(ranks);
  EXPECT_DOUBLE_EQ(timeline.makespan, 6);
  EXPECT_DOUBLE_EQ(timeline.ranks[0].busy, 2);
  EXPECT_DOUBLE_EQ(timeline.ranks[1].busy, 4);
  EXPECT_DOUBLE_EQ(timeline.idle_share(), 0.5);
  const std::vector<TraceSlice> waits = slices_within(ranks);
  ASSERT_EQ(waits.size(), 1U);  // the other was before the first start
  EXPECT_EQ(waits[0].category, "wait");
  EXPECT_DOUBLE_EQ(waits[0].start, 1);
  EXPECT_DOUBLE_EQ(waits[0].end, 2);
  EXPECT_DOUBLE_EQ(ranks[0].waited("experts"), 1);
  EXPECT_DOUBLE_EQ(hidden_fraction(1.0, 4.0), 0.75);
}

// A simulation read as a run: what comes back are the times it was made of.
TEST(RunTrace, MeasuredTimesOfASimulationAreItsOwn) {
  for (const ScheduleKind kind : {ScheduleKind::kDualPipe, ScheduleKind::kZb1p}) {
    const PipelineSchedule schedule = make_schedule(kind, 4, 10);
    PipelineTimes times;
    times.stages = {{1, 1, 0.5}, {2, 1.5, 0.5}, {1, 1, 0.5}, {1, 2, 1}};
    times.pair_share = 0.75;
    const Simulation simulated = simulate(schedule, times);
    std::vector<RunTrace> ranks(4);
    for (const TimedAction& each : simulated.timeline) {
      ranks[static_cast<size_t>(each.rank)].actions.push_back(each);
    }
    const Simulation predicted = simulate(schedule, measured_times(schedule, ranks));
    EXPECT_NEAR(predicted.makespan, simulated.makespan, 1e-9);
    EXPECT_NEAR(measured_timeline(ranks).idle_share(), simulated.idle_share(), 1e-9);
  }
}

TEST(RunTrace, OneFileHoldsTheRunAndItsPrediction) {
  const PipelineCase of = dualpipe();
  const PipelineResult result(of);
  const Simulation measured = measured_timeline(result.traces);
  const Simulation predicted = simulate(of.schedule, measured_times(of.schedule, result.traces));
  EXPECT_GT(predicted.makespan, 0.0);
  const std::vector<TraceSlice> within = slices_within(result.traces);
  const Json trace = parse_json(timelines_trace({{"measured", &of.schedule, &measured, within},
                                                 {"predicted", &of.schedule, &predicted}}),
                                "trace");
  std::vector<size_t> slices(2, 0);
  size_t n_within = 0;
  for (const Json& event : trace.at("traceEvents").as_array()) {
    if (event.at("ph").as_string() != "X") continue;
    const std::string& category = event.at("cat").as_string();
    if (category == "wait" || category == "step") {
      ++n_within;
    } else {
      ++slices[static_cast<size_t>(event.at("pid").as_integer())];
    }
  }
  EXPECT_EQ(slices[0], measured.timeline.size());
  EXPECT_EQ(slices[1], measured.timeline.size());
  EXPECT_EQ(n_within, within.size());
  EXPECT_EQ(trace.at("otherData").at("makespan_seconds").at("measured").as_number() > 0.0, true);
}

// Experts on another rank, each message 10 ms away, far longer than anything here computes. Taking turns,
// the two chunks of a pair wait for one message's way where one after the other they wait for two: 9 of 12
// chunks are in pairs, which hides three eighths.
TEST(RunTrace, APairWaitsLessForExpertsThanItsChunksApart) {
  ModelConfig config = odd_config();
  config.n_layers = 4;
  config.first_k_dense_replace = 0;
  config.n_mtp = 0;
  PipelineCase of(config, ScheduleKind::kDualPipe, 2, 12);
  of.replicas = of.expert = 2;
  const SlowLink link{.latency_seconds = 10e-3};
  const PipelineResult in_turns(of, {}, link), in_a_row(of, {.overlap = false}, link);
  const auto waited = [](const PipelineResult& result) {
    double sum = 0.0;
    for (const RunTrace& rank : result.traces) sum += rank.waited("experts");
    return sum;
  };
  const double hidden = hidden_fraction(waited(in_turns), waited(in_a_row));
  RecordProperty("hidden", concat(hidden));
  EXPECT_GT(hidden, 0.2);
}

// Communication as long as computing: each of a pair's four messages a layer takes as long as attention or
// experts, there and back. A pair hides all of it; the few chunks at a step's ends that have no partner, nothing.
TEST(RunTrace, APairHidesMessagesAsLongAsItsComputing) {
  ModelConfig config = odd_config();
  config.n_layers = 4;
  config.first_k_dense_replace = 0;
  config.n_mtp = 0;
  constexpr double kSeconds = 5e-3;
  for (const ScheduleKind kind : {ScheduleKind::kDualPipe, ScheduleKind::kDualPipeV}) {
    PipelineCase of(config, kind, 2, 32);
    of.replicas = of.expert = 2;
    of.phase_seconds = kSeconds;
    const SlowLink link{.latency_seconds = kSeconds};
    const PipelineResult in_turns(of, {}, link), apart(of, {.overlap = false}, link);
    RunRecord record{of.schedule, of.replicas, 0, {}};
    record.steps = {{1, true, in_turns.traces}, {2, false, apart.traces}};
    double alone = 0, exposed = 0;
    for (const OverlapRow& row : overlap_report(record).rows) {
      if (row.network != "experts" || !row.phase.empty()) continue;
      alone = row.alone;
      exposed = row.exposed;
    }
    RecordProperty(of.schedule.name, concat(hidden_fraction(exposed, alone)));
    // A rank that is late leaves the others' messages less to wait for.
    EXPECT_GT(alone, 0.5 * kSeconds * static_cast<double>(of.n_micro_batches() * 4 * 4));
    EXPECT_GT(hidden_fraction(exposed, alone), 0.8) << of.what;
  }
}

// A chunk waits for messages of experts; parts of W that are done meanwhile change no bit of any gradient, and
// neither does who goes first. Replicas lie on two nodes as often as on one.
TEST(RunTrace, WhatFillsAWaitChangesNoBit) {
  ModelConfig config = odd_config();
  config.n_layers = 5;
  config.n_mtp = 2;
  for (const ScheduleKind kind : {ScheduleKind::kDualPipe, ScheduleKind::kDualPipeV}) {
    PipelineCase of(config, kind, kind == ScheduleKind::kDualPipe ? 2 : 4, 8);
    of.replicas = of.expert = 2;
    const PipelineResult apart(of, {.overlap = false});
    for (const double seconds : {0.0, 1e-4, 2e-3}) {
      const PipelineResult in_turns(of, {}, SlowLink{.latency_seconds = seconds});
      size_t n_late = 0;
      for (size_t rank = 0; rank < 4; ++rank) {
        EXPECT_EQ(in_turns.ranks[rank]->gradient(), apart.ranks[rank]->gradient());
        EXPECT_EQ(in_turns.totals[rank].loss.ce, apart.totals[rank].loss.ce);
        n_late += static_cast<size_t>(
            std::ranges::count(in_turns.traces[rank].steps, "weight",
                               [](const TimedStep& step) { return step.place.phase; }));
      }
      EXPECT_GT(n_late, 0U);
    }
  }
}

}  // namespace
}  // namespace hadal::test
