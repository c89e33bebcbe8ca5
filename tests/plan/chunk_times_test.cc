#include "hadal/pipeline/chunk_times.h"

#include <gtest/gtest.h>

#include "hadal/core/error.h"
#include "hadal/plan/training_plan.h"
#include "tests/support/refusal.h"

namespace hadal {
namespace {

// One layer: F 2 + 1 of all-to-all, B_in 3 + 2, W 1.
constexpr LayerTimes kLayer = {2, 3, 1, 1, 2};

TEST(ChunkTimes, ASoloChunkExposesItsAllToAll) {
  const PipelineTimes times = chunk_times({4.0 * kLayer, 2.0 * kLayer}, 1);
  ASSERT_EQ(times.stages.size(), 2u);
  EXPECT_EQ(times.stages[0].forward, 12);
  EXPECT_EQ(times.stages[0].backward_input, 20);
  EXPECT_EQ(times.stages[0].weight, 4);
  EXPECT_EQ(times.stages[1].forward, 6);
}

TEST(ChunkTimes, APairHidesTheShorterOfComputationAndCommunication) {
  // C = 6, X = 3, F + B = 9: max(6, 3) + (1 - e) 3.
  EXPECT_DOUBLE_EQ(chunk_times({4.0 * kLayer}, 1).pair_share, 6.0 / 9);
  EXPECT_DOUBLE_EQ(chunk_times({4.0 * kLayer}, 0.5).pair_share, 7.5 / 9);
  EXPECT_DOUBLE_EQ(chunk_times({4.0 * kLayer}, 0).pair_share, 1);
  // Communication is the longer part: C = 6, X = 10.
  EXPECT_DOUBLE_EQ(chunk_times({{2, 3, 1, 4, 6}}, 1).pair_share, 10.0 / 16);
}

TEST(ChunkTimes, StagesOfDifferentLayersShareOneMean) {
  const LayerTimes dense = {2, 2, 2, 0, 0};  // no experts: nothing to hide
  const PipelineTimes times = chunk_times({dense, 3.0 * kLayer}, 1);
  EXPECT_EQ(times.stages[0].forward, 2);
  EXPECT_DOUBLE_EQ(times.pair_share, (6.0 + 18) / (6 + 27));
}

// The report's shape of costs: computation and all-to-all about 1:1 (section 3.2.1). Hiding
// the all-to-all then takes a step of many micro-batches to about half of its time.
TEST(ChunkTimes, OverlapHalvesAStepOfEqualComputationAndCommunication) {
  const LayerTimes layer = {1, 1, 1, 1.5, 1.5};
  const PipelineSchedule schedule = make_schedule(ScheduleKind::kDualPipe, 4, 400);
  const double exposed = simulate(schedule, chunk_times({layer}, 0)).makespan;
  const double hidden = simulate(schedule, chunk_times({layer}, 1)).makespan;
  EXPECT_NEAR(hidden / exposed, 0.5, 0.02);
}

// The plan spells the same model as formulas, so that it can be explained.
TEST(ChunkTimes, ThePlanOverlapsInTheSameWay) {
  TrainingPlan plan;  // DeepSeek-V3
  plan.cluster = find_cluster("h800-2048");
  plan.recipe = recipe_for(plan.config);
  Worksheet sheet = make_training_sheet(plan);
  for (const double efficiency : {0.0, 0.7, 1.0}) {
    sheet.set("overlap_efficiency", efficiency);
    EXPECT_DOUBLE_EQ(sheet.value("pair_seconds"),
                     overlapped_pair(sheet.value("pair_compute_seconds"),
                                     sheet.value("chunk_all_to_all"), efficiency));
  }
}

TEST(ChunkTimes, RefusesNonsense) {
  test::expect_refused<ConfigError>([&] { chunk_times({}, 1); }, "stages: none");
  test::expect_refused<ConfigError>([&] { chunk_times({kLayer}, 1.1); },
                                    "overlap efficiency: out of range");
  test::expect_refused<ConfigError>([&] { chunk_times({kLayer}, -0.1); },
                                    "overlap efficiency: out of range");
  test::expect_refused<ConfigError>([&] { chunk_times({-1.0 * kLayer}, 1); },
                                    "layer times: not a time");
  test::expect_refused<ConfigError>([&] { chunk_times({1e308 * kLayer}, 1); },
                                    "layer times: not a time");
}

}  // namespace
}  // namespace hadal
