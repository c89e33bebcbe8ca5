// The simulator against the published tables, small cases worked out by hand, and lower bounds that
// no schedule can beat.
#include "hadal/pipeline/simulator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "hadal/core/error.h"
#include "hadal/core/rng.h"
#include "hadal/schedule/schedule_check.h"
#include "hadal/schedule/schedule_file.h"
#include "tests/support/refusal.h"

namespace hadal {
namespace {

using ::testing::HasSubstr;

constexpr ScheduleKind kAllKinds[] = {ScheduleKind::k1F1B,        ScheduleKind::kZb1p,
                                      ScheduleKind::kDualPipe,    ScheduleKind::kDualPipeV,
                                      ScheduleKind::kInterleaved, ScheduleKind::kZbv};

struct Published {
  ScheduleKind kind;
  int32_t n_stages, n_micro_batches;
  double makespan, busy, bubble;
  int64_t peak;
};

TEST(PipelineSimulator, EqualsThePublishedTables) {
  // docs/pipeline.md, "What the simulator assumes": F = B_in = W = 1, F&B = 3.
  const Published table[] = {
      {ScheduleKind::kDualPipe, 2, 4, 12, 12, 0, 3},
      {ScheduleKind::kDualPipe, 4, 8, 26, 24, 2, 5},
      {ScheduleKind::kDualPipe, 4, 10, 32, 30, 2, 5},
      {ScheduleKind::kDualPipe, 8, 16, 54, 48, 6, 9},
      {ScheduleKind::kDualPipe, 8, 20, 66, 60, 6, 9},
      {ScheduleKind::kDualPipe, 16, 32, 110, 96, 14, 17},
      {ScheduleKind::kDualPipe, 16, 60, 194, 180, 14, 17},
      {ScheduleKind::kDualPipeV, 8, 10, 66, 60, 6, 9},
      {ScheduleKind::kDualPipeV, 16, 20, 134, 120, 14, 17},
      {ScheduleKind::k1F1B, 8, 20, 81, 60, 21, 8},
      {ScheduleKind::kZb1p, 8, 20, 67, 60, 7, 8},
      {ScheduleKind::kInterleaved, 8, 20, 127, 120, 7, 12},
      {ScheduleKind::kZbv, 8, 20, 123, 120, 3, 8},
  };
  for (const Published& row : table) {
    const PipelineSchedule schedule = make_schedule(row.kind, row.n_stages, row.n_micro_batches);
    SCOPED_TRACE(schedule.name + " " + std::to_string(row.n_stages));
    const Simulation result = simulate(schedule, {});
    EXPECT_EQ(result.makespan, row.makespan);
    int64_t peak = 0;
    for (const RankTimes& rank : result.ranks) {
      EXPECT_EQ(rank.busy, row.busy);
      EXPECT_EQ(rank.bubble, row.bubble);
      peak = std::max(peak, rank.peak_activations);
    }
    EXPECT_EQ(peak, row.peak);
    EXPECT_NEAR(result.idle_share(), row.bubble / row.makespan, 1e-12);
  }
}

TEST(PipelineSimulator, EveryDualPipeRankStoresOneChunkMoreThanThereAreStages) {
  for (const auto& [n_stages, n_micro_batches] : {std::pair{2, 4}, {6, 14}, {12, 40}}) {
    const Simulation result =
        simulate(make_schedule(ScheduleKind::kDualPipe, n_stages, n_micro_batches), {});
    for (const RankTimes& rank : result.ranks) EXPECT_EQ(rank.peak_activations, n_stages + 1);
  }
}

// Two ranks, one micro-batch; F 1, B 2, a transfer takes 0.5 + 2 / 4 = 1:
//   rank 0  F 0-1 ............ B 6-8      the gradient is made at 5 and arrives at 6
//   rank 1  .... F 2-3, B 3-5 ......
TEST(PipelineSimulator, TransfersByHand) {
  const PipelineSchedule schedule = make_schedule(ScheduleKind::k1F1B, 2, 1);
  for (const bool blocking : {false, true}) {
    SCOPED_TRACE(blocking);
    const PipelineTimes times{.stages = {{1, 1, 1}},
                              .pair = std::nullopt,
                              .latency = 0.5,
                              .bytes = 2,
                              .bandwidth = {4},
                              .blocking = blocking};
    const Simulation result = simulate(schedule, times);
    EXPECT_EQ(result.makespan, 8);
    EXPECT_EQ(result.ranks[0].warm_up, 0);
    EXPECT_EQ(result.ranks[0].waiting, 5);
    EXPECT_EQ(result.ranks[0].waiting_for, (std::map<int32_t, double>{{1, 4}}));
    EXPECT_EQ(result.ranks[0].transfer, 1);
    EXPECT_EQ(result.ranks[0].cool_down, 0);
    EXPECT_EQ(result.ranks[1].warm_up, 2);
    EXPECT_EQ(result.ranks[1].waiting, 0);
    EXPECT_EQ(result.ranks[1].cool_down, 3);
    ASSERT_EQ(result.timeline.size(), 4u);
    EXPECT_EQ(result.timeline[2].rank, 1);
    EXPECT_EQ(result.timeline[2].start, 2);
    EXPECT_EQ(result.timeline[2].end, 3);
  }
}

// Rank 0 makes two tensors at 0.25 and 0.5; the link takes 1 for the bytes of each and 0.5 more
// until they arrive: at 1.75, and (1.25 + 1 + 0.5) at 2.75.
TEST(PipelineSimulator, TensorsOfOneLinkFollowEachOther) {
  const PipelineSchedule schedule = parse_schedule(
      R"({"n_stages": 2, "n_micro_batches": 2,
          "ranks": [["F 0 0", "F 0 1", "B 0 0", "B 0 1"], ["F 1 0", "F 1 1", "B 1 0", "B 1 1"]]})",
      "test");
  ASSERT_TRUE(check_schedule(schedule).ok());
  const PipelineTimes times{
      .stages = {{0.25, 0, 0}}, .pair = std::nullopt, .latency = 0.5, .bytes = 4, .bandwidth = {4}};
  const Simulation result = simulate(schedule, times);
  EXPECT_EQ(result.timeline[4].start, 1.75);
  EXPECT_EQ(result.timeline[5].start, 2.75);
}

TEST(PipelineSimulator, TheLinkBetweenTwoRanksHasItsOwnBandwidth) {
  const PipelineSchedule schedule = make_schedule(ScheduleKind::k1F1B, 3, 1);
  const PipelineTimes times{.stages = {{1, 1, 0}},
                            .pair = std::nullopt,
                            .bytes = 6,
                            .bandwidth = {2, 3}};  // 3 and 2 units, there and back
  EXPECT_EQ(simulate(schedule, times).makespan, 6 + 2 * (3 + 2));
}

// A rendezvous: rank 1 is busy until 3 and only then posts the receive that rank 0's send waits
// for.
TEST(PipelineSimulator, ABlockingSendWaitsForItsReceiver) {
  const PipelineSchedule schedule = parse_schedule(
      R"({"n_stages": 2, "n_micro_batches": 2, "held": [[0, 1], [0, 1]],
          "ranks": [["F 0 0", "send a 0 0 -> 1", "F 0 1", "F 1 1", "recv g 1 0 <- 1", "B 0 0",
                     "B 1 1", "B 0 1"],
                    ["recv a 0 0 <- 0", "F 1 0", "B 1 0", "send g 1 0 -> 0"]]})",
      "test");
  ASSERT_THAT(check_schedule(schedule).violations, ::testing::IsEmpty());
  PipelineTimes times{.stages = {{1, 1, 1}}, .pair = std::nullopt, .latency = 0.25};
  times.blocking = true;
  const Simulation result = simulate(schedule, times);
  // Rank 0: F 0-1, blocked to 1.25, F 1.25-2.25, F 2.25-3.25; rank 1: F 1.25-2.25, B 2.25-4.25, its
  // gradient arrives at 4.5 (posted by both at 4.25), so rank 0's three B end at 10.5.
  EXPECT_EQ(result.makespan, 10.5);
  EXPECT_EQ(result.ranks[0].transfer, 0.5);
  EXPECT_EQ(result.ranks[0].waiting_for, (std::map<int32_t, double>{{1, 1}}));
  EXPECT_EQ(result.ranks[1].cool_down, 10.5 - 4.25);
}

TEST(PipelineSimulator, APairTakesItsShareOrItsOwnTime) {
  const PipelineSchedule schedule = make_schedule(ScheduleKind::kDualPipe, 2, 8);
  PipelineTimes times;
  times.pair_share = 0.5;
  const double by_share = simulate(schedule, times).makespan;
  times.pair = 1.5;
  times.pair_share = 9;
  EXPECT_EQ(simulate(schedule, times).makespan, by_share);
  // Of step 4's 2 (m - P + h + 1) = 6 pairs the first is not overlapped on a middle rank; the other
  // five take 1.5 in place of 3.
  EXPECT_EQ(simulate(schedule, {}).makespan - by_share, 7.5);
}

std::vector<StageTimes> random_stages(Rng& rng, int32_t n_stages) {
  std::vector<StageTimes> stages;
  for (int32_t s = 0; s < n_stages; ++s) {
    stages.push_back({rng.uniform() * 2, rng.uniform() * 2, rng.uniform()});
  }
  return stages;
}

// No schedule is faster than the work of its busiest rank, or than the way of one micro-batch
// through all stages and back, with every transfer on that way.
double lower_bound(const PipelineSchedule& schedule, const PipelineTimes& times,
                   const Simulation& result) {
  double busiest = 0;
  for (const RankTimes& rank : result.ranks) busiest = std::max(busiest, rank.busy);
  if (times.pair_share < 1) return busiest;  // a pair may be shorter than its two halves
  double way = 0;
  for (const StageTimes& stage : times.stages) way += stage.forward + stage.backward_input;
  int32_t crossings = 0;
  const ScheduleKind kind = parse_schedule_kind(schedule.name);
  for (int32_t s = 0; s + 1 < schedule.n_stages; ++s) {
    const int32_t n = schedule.n_stages, m = schedule.n_micro_batches;
    crossings += home_rank(kind, n, m, {s, 0}) != home_rank(kind, n, m, {s + 1, 0});
  }
  const double transfer =
      times.latency + (times.bandwidth[0] > 0 ? times.bytes / times.bandwidth[0] : 0);
  return std::max(busiest, way + 2 * crossings * transfer);
}

TEST(PipelineSimulator, RandomTimesNeverBeatTheLowerBounds) {
  Rng rng(7);
  for (int round = 0; round < 300; ++round) {
    const ScheduleKind kind = kAllKinds[rng.uniform_below(std::size(kAllKinds))];
    const auto n_stages = static_cast<int32_t>(2 * (1 + rng.uniform_below(6)));
    const auto n_micro_batches = 2 * n_stages + 2 * static_cast<int32_t>(rng.uniform_below(8));
    const PipelineSchedule schedule = make_schedule(kind, n_stages, n_micro_batches);
    PipelineTimes times;
    times.stages = random_stages(rng, n_stages);
    times.pair_share = rng.uniform_below(2) == 0 ? 1 : 0.6 + 0.4 * rng.uniform();
    times.latency = rng.uniform_below(2) == 0 ? 0 : rng.uniform();
    times.bytes = rng.uniform_below(2) == 0 ? 0 : rng.uniform();
    times.bandwidth = {rng.uniform_below(2) == 0 ? 0 : 1 + rng.uniform()};
    times.blocking = rng.uniform_below(2) == 0;
    SCOPED_TRACE(schedule.name + ", round " + std::to_string(round));
    const Simulation result = simulate(schedule, times);
    const double close = 1e-9 * result.makespan;
    EXPECT_GE(result.makespan, lower_bound(schedule, times, result) - close);
    const ScheduleCheck check = check_schedule(schedule);
    for (size_t r = 0; r < result.ranks.size(); ++r) {
      const RankTimes& rank = result.ranks[r];
      // Every idle moment has a cause, and idle and busy are all there is.
      double causes = rank.transfer;
      for (const auto& [peer, time] : rank.waiting_for) {
        EXPECT_NE(peer, static_cast<int32_t>(r));
        EXPECT_GT(time, 0);
        causes += time;
      }
      EXPECT_NEAR(causes, rank.waiting, close);
      EXPECT_NEAR(rank.busy + rank.bubble, result.makespan, close);
      EXPECT_NEAR(rank.warm_up + rank.waiting + rank.cool_down, rank.bubble, close);
      // The checker counts in another way.
      EXPECT_EQ(rank.peak_activations, check.ranks[r].peak_activations);
      EXPECT_EQ(rank.peak_weight_queue, check.ranks[r].peak_weight_queue);
    }
    if (::testing::Test::HasFailure()) return;
  }
}

// Boxes of a rank follow each other, and each starts after what it needs has arrived.
TEST(PipelineSimulator, TheTimelineKeepsEveryDependency) {
  Rng rng(11);
  for (const ScheduleKind kind : kAllKinds) {
    const PipelineSchedule schedule = make_schedule(kind, 6, 14);
    SCOPED_TRACE(schedule.name);
    PipelineTimes times;
    times.stages = random_stages(rng, 6);
    times.latency = 0.3;
    const Simulation result = simulate(schedule, times);
    const auto index = [](Chunk chunk) {
      return static_cast<size_t>(chunk.stage * 14 + chunk.micro_batch);
    };
    std::vector<const TimedAction*> forward(6 * 14), backward(6 * 14);
    for (const TimedAction& box : result.timeline) {
      if (box.action.goes_forward()) forward[index(box.action.chunk)] = &box;
      if (box.action.goes_backward()) backward[index(box.action.backward_chunk())] = &box;
    }
    const auto arrival = [&](const TimedAction& maker, const TimedAction& user) {
      return maker.end + (maker.rank == user.rank ? 0 : times.latency);
    };
    for (int32_t stage = 0; stage < 6; ++stage) {
      for (int32_t m = 0; m < 14; ++m) {
        const TimedAction& f = *forward[index({stage, m})];
        const TimedAction& b = *backward[index({stage, m})];
        EXPECT_GE(b.start, f.end);
        if (stage > 0) {
          EXPECT_GE(f.start, arrival(*forward[index({stage - 1, m})], f));
        }
        if (stage < 5) {
          EXPECT_GE(b.start, arrival(*backward[index({stage + 1, m})], b));
        }
      }
    }
    for (size_t i = 1; i < result.timeline.size(); ++i) {
      const TimedAction& before = result.timeline[i - 1];
      const TimedAction& box = result.timeline[i];
      EXPECT_TRUE(before.rank < box.rank || before.end <= box.start);
    }
  }
}

// With latency alone, blocking transfers obey all rules of asynchronous ones and more of their own,
// so they cannot be faster.
TEST(PipelineSimulator, BlockingTransfersAreNeverFaster) {
  Rng rng(3);
  for (int round = 0; round < 100; ++round) {
    const ScheduleKind kind = kAllKinds[rng.uniform_below(std::size(kAllKinds))];
    const auto n_stages = static_cast<int32_t>(2 * (1 + rng.uniform_below(5)));
    const PipelineSchedule schedule = make_schedule(kind, n_stages, 2 * n_stages + 4);
    PipelineTimes times;
    times.stages = random_stages(rng, n_stages);
    times.latency = rng.uniform();
    const double asynchronous = simulate(schedule, times).makespan;
    times.blocking = true;
    EXPECT_GE(simulate(schedule, times).makespan, asynchronous * (1 - 1e-12)) << schedule.name;
  }
}

// Interleaved and ZBV have their transfers by place_transfers_by_clock.
TEST(PipelineSimulator, TransfersByTheClockHardlyBlock) {
  for (const ScheduleKind kind : {ScheduleKind::kInterleaved, ScheduleKind::kZbv}) {
    for (int32_t n_stages = 2; n_stages <= 16; n_stages += 2) {
      const PipelineSchedule schedule = make_schedule(kind, n_stages, 2 * n_stages + 4);
      const double asynchronous = simulate(schedule, {}).makespan;
      PipelineTimes times;
      times.blocking = true;
      EXPECT_LE(simulate(schedule, times).makespan, 1.05 * asynchronous)
          << schedule.name << " " << n_stages;
    }
  }
}

TEST(PipelineSimulator, TheTimelineCanBeLeftOut) {
  const PipelineSchedule schedule = make_schedule(ScheduleKind::kZb1p, 4, 9);
  const Simulation without = simulate(schedule, {}, Timeline::kDrop);
  EXPECT_TRUE(without.timeline.empty());
  EXPECT_EQ(without.makespan, simulate(schedule, {}).makespan);
}

TEST(PipelineSimulator, ALongScheduleStaysExact) {
  // 64 stages, 4096 micro-batches: 3 M busy units per rank and the bubble (P/2 - 1)(3 + 2 - 3).
  const Simulation result =
      simulate(make_schedule(ScheduleKind::kDualPipe, 64, 4096), {}, Timeline::kDrop);
  EXPECT_EQ(result.makespan, 3 * 4096 + 31 * 2);
}

TEST(PipelineSimulator, RefusesTimesThatAreNone) {
  const PipelineSchedule schedule = make_schedule(ScheduleKind::k1F1B, 4, 4);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinite = std::numeric_limits<double>::infinity();
  for (const double wrong : {-1.0, nan, infinite}) {
    PipelineTimes times;
    times.stages = {{1, wrong, 1}};
    test::expect_refused<ConfigError>([&] { simulate(schedule, times); },
                                      "backward input: not a time");
    times = {};
    times.latency = wrong;
    test::expect_refused<ConfigError>([&] { simulate(schedule, times); }, "latency: not a time");
    times = {};
    times.pair = wrong;
    test::expect_refused<ConfigError>([&] { simulate(schedule, times); },
                                      "overlapped pair: not a time");
    times = {};
    times.bandwidth = {wrong};
    test::expect_refused<ConfigError>([&] { simulate(schedule, times); }, "bandwidth: not a time");
  }
  PipelineTimes times;
  times.stages = {{1e308, 1, 1}};
  test::expect_refused<ConfigError>(
      [&] { simulate(schedule, times); },
      "stage times: the whole step overflows");  // the makespan overflows
  times.stages = {{}, {}, {}};
  test::expect_refused<ConfigError>([&] { simulate(schedule, times); },
                                    "stage times: wrong number");
  times = {};
  times.bandwidth = {1, 1};
  test::expect_refused<ConfigError>([&] { simulate(schedule, times); }, "bandwidth: wrong number");
}

TEST(PipelineSimulator, AScheduleThatStandsStillIsAnError) {
  PipelineSchedule schedule = make_schedule(ScheduleKind::k1F1B, 2, 2);
  schedule.ranks[1].clear();
  try {
    simulate(schedule, {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("rank 0 waits for ever"));
  }
}

}  // namespace
}  // namespace hadal
