// The published bubble formulas (docs/schedules.md) against the simulation of every legal size.
#include "hadal/pipeline/schedule_facts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace hadal {
namespace {

using ::testing::HasSubstr;

PipelineTimes equal_stages(double forward, double backward_input, double weight) {
  PipelineTimes times;
  times.stages = {{forward, backward_input, weight}};
  return times;
}

void expect_formula(ScheduleKind kind, int32_t n_stages, int32_t n_micro_batches,
                    const PipelineTimes& times, double expected,
                    int32_t per_rank = kInterleavedStages) {
  const PipelineSchedule schedule = make_schedule(kind, n_stages, n_micro_batches, per_rank);
  SCOPED_TRACE(schedule.name + " " + std::to_string(n_stages) + " stages, " +
               std::to_string(n_micro_batches) + " micro-batches");
  const BubbleFormula formula = bubble_formula(kind, n_stages, n_micro_batches, times, per_rank);
  EXPECT_TRUE(formula.applies()) << formula.departs;
  EXPECT_NEAR(formula.value, expected, 1e-9);
  for (const RankTimes& rank : simulate(schedule, times, Timeline::kDrop).ranks) {
    EXPECT_NEAR(rank.bubble, expected, 1e-9);
  }
}

TEST(BubbleFormula, HoldsForEverySizeTo16Stages) {
  for (const double w : {0.5, 0.8, 1.0}) {
    const PipelineTimes times = equal_stages(1, 1, w);
    const double b = 1 + w;
    for (int32_t n = 1; n <= 16; ++n) {
      for (const int32_t m : {n, n + 1, 2 * n, 2 * n + 2, 3 * n + 5}) {
        expect_formula(ScheduleKind::k1F1B, n, m, times, (n - 1) * (1 + b));
        expect_formula(ScheduleKind::kZb1p, n, m, times, (n - 1) * (1 + b - 2 * w));
      }
      for (int32_t per_rank = 1; per_rank <= 4; ++per_rank) {
        if (n % per_rank != 0) continue;
        const int32_t p = n / per_rank;
        const double bubble = p == 1 ? 0 : (p - 1) * (1 + b - w) + w;
        for (const int32_t m : {p, 2 * p, 3 * p, 7 * p}) {
          expect_formula(ScheduleKind::kInterleaved, n, m, times, bubble, per_rank);
        }
      }
      if (n % 2 != 0) continue;
      for (const int32_t m : {n - 1, n, n + 1, 2 * n + 3, 4 * n}) {
        expect_formula(ScheduleKind::kZbv, n, m, times, n / 2.0 - 1);
      }
      const double dual = (n / 2.0 - 1) * ((1 + b) + b - 3 * w);
      for (const int32_t m : {2 * n, 2 * n + 2, 4 * n, 5 * n + 6}) {
        expect_formula(ScheduleKind::kDualPipe, n, m, times, dual);
      }
      for (const int32_t m : {n, n + 1, 2 * n + 3, 4 * n}) {
        expect_formula(ScheduleKind::kDualPipeV, n, m, times, dual);
      }
    }
  }
}

TEST(BubbleFormula, OfTheSimpleSchedulesNeedsNoEqualParts) {
  const PipelineTimes times = equal_stages(0.7, 1.9, 0.6);
  expect_formula(ScheduleKind::k1F1B, 7, 11, times, 6 * 3.2);
  expect_formula(ScheduleKind::kZb1p, 7, 11, times, 6 * 2.0);
  expect_formula(ScheduleKind::kInterleaved, 12, 16, times, 3 * 2.6 + 0.6, 3);
}

TEST(BubbleFormula, SaysWhyItIsNotExact) {
  struct Case {
    ScheduleKind kind;
    PipelineTimes times;
    const char* reason;
  };
  PipelineTimes slow_transfers = equal_stages(1, 1, 1);
  slow_transfers.latency = 0.1;
  PipelineTimes uneven;
  uneven.stages.assign(8, {1, 1, 1});
  uneven.stages[3].forward = 2;
  PipelineTimes overlapped = equal_stages(1, 1, 1);
  overlapped.pair = 2;
  const Case cases[] = {
      {ScheduleKind::k1F1B, slow_transfers, "transfers take time"},
      {ScheduleKind::k1F1B, uneven, "the stages differ"},
      {ScheduleKind::kZb1p, equal_stages(1, 2, 1.5), "W is longer"},
      {ScheduleKind::kDualPipe, equal_stages(1, 1.5, 1), "F differs from B_in"},
      {ScheduleKind::kDualPipe, equal_stages(1, 1, 2), "W is longer than F"},
      {ScheduleKind::kDualPipe, overlapped, "F&B differs"},
      {ScheduleKind::kInterleaved, overlapped, "F&B differs"},
      {ScheduleKind::kInterleaved, equal_stages(1, 1, 2), "W is longer"},
      {ScheduleKind::kZbv, equal_stages(1, 1.5, 1), "F differs from B_in"},
      {ScheduleKind::kZbv, equal_stages(1, 1, 2), "W is longer than F"},
      {ScheduleKind::kZbv, equal_stages(1, 1, 0.25), "W is shorter than half of F"},
  };
  for (const Case& c : cases) {
    const BubbleFormula formula = bubble_formula(c.kind, 8, 20, c.times);
    EXPECT_FALSE(formula.applies());
    EXPECT_THAT(formula.departs, HasSubstr(c.reason));
    // The caution is not an empty one: the simulation does differ.
    double furthest = 0;
    for (const RankTimes& rank : simulate(make_schedule(c.kind, 8, 20), c.times).ranks) {
      furthest = std::max(furthest, std::abs(rank.bubble - formula.value));
    }
    EXPECT_GT(furthest, 0.05) << c.reason;
  }
}

TEST(BubbleFormula, WantsEnoughMicroBatchesAndWholeGroups) {
  const PipelineTimes times = equal_stages(1, 1, 0.5);
  const auto departs = [&](ScheduleKind kind, int32_t m) {
    const BubbleFormula formula = bubble_formula(kind, 8, m, times);
    const Simulation found = simulate(make_schedule(kind, 8, m), times, Timeline::kDrop);
    EXPECT_EQ(formula.applies(), std::abs(found.ranks[0].bubble - formula.value) < 1e-9) << m;
    return formula.departs;
  };
  EXPECT_EQ(departs(ScheduleKind::kInterleaved, 18),
            "the micro-batches are no multiple of the ranks");
  EXPECT_EQ(departs(ScheduleKind::kInterleaved, 4), "");
  EXPECT_EQ(departs(ScheduleKind::kInterleaved, 3), "there are fewer micro-batches than 4");
  EXPECT_EQ(departs(ScheduleKind::kZbv, 7), "");
  EXPECT_EQ(departs(ScheduleKind::kZbv, 6), "there are fewer micro-batches than 7");
}

TEST(ScheduleFacts, ATitleIsOneHarmlessLine) {
  EXPECT_EQ(schedule_title("dualpipev"), "DualPipeV");
  EXPECT_EQ(schedule_title("my own"), "my own");
  EXPECT_EQ(schedule_title("a\x1b[31m\nb").find_first_of("\x1b\n"), std::string::npos);
  EXPECT_LT(schedule_title(std::string(5000, 'x')).size(), 80u);
}

TEST(ScheduleFacts, PlacementIsReadFromTheHeldStages) {
  EXPECT_EQ(placement_of(make_schedule(ScheduleKind::kZb1p, 4, 8)), Placement::kOneStage);
  EXPECT_EQ(placement_of(make_schedule(ScheduleKind::kDualPipe, 4, 8)), Placement::kTwoDirections);
  EXPECT_EQ(placement_of(make_schedule(ScheduleKind::kDualPipeV, 4, 8)), Placement::kThereAndBack);
  EXPECT_EQ(placement_of(make_schedule(ScheduleKind::kZbv, 4, 8)), Placement::kThereAndBack);
  EXPECT_EQ(placement_of(make_schedule(ScheduleKind::kInterleaved, 4, 8)), Placement::kOther);
  PipelineSchedule other = make_schedule(ScheduleKind::kDualPipe, 4, 8);
  other.held[1] = {1};
  EXPECT_EQ(placement_of(other), Placement::kOther);
}

}  // namespace
}  // namespace hadal
