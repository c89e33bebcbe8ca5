#include "hadal/plan/chunk_times.h"

#include <gtest/gtest.h>

#include "hadal/core/error.h"

namespace hadal {
namespace {

// One layer: F 2 + 1 of all-to-all, B_in 3 + 2, W 1.
constexpr LayerTimes kLayer = {2, 3, 1, 1, 2};

TEST(ChunkTimes, ASoloChunkExposesItsAllToAll) {
  const PipelineTimes times = chunk_times(kLayer, {4, 2}, 1);
  ASSERT_EQ(times.stages.size(), 2u);
  EXPECT_EQ(times.stages[0].forward, 12);
  EXPECT_EQ(times.stages[0].backward_input, 20);
  EXPECT_EQ(times.stages[0].weight, 4);
  EXPECT_EQ(times.stages[1].forward, 6);
}

TEST(ChunkTimes, APairHidesTheShorterOfComputationAndCommunication) {
  // C = 6, X = 3, F + B = 9: max(6, 3) + (1 - e) 3.
  EXPECT_DOUBLE_EQ(chunk_times(kLayer, {4}, 1).pair_share, 6.0 / 9);
  EXPECT_DOUBLE_EQ(chunk_times(kLayer, {4}, 0.5).pair_share, 7.5 / 9);
  EXPECT_DOUBLE_EQ(chunk_times(kLayer, {4}, 0).pair_share, 1);
  // Communication is the longer part: C = 6, X = 10.
  EXPECT_DOUBLE_EQ(chunk_times({2, 3, 1, 4, 6}, {1}, 1).pair_share, 10.0 / 16);
}

TEST(ChunkTimes, StagesOfDifferentLayersShareOneMean) {
  const LayerTimes dense = {2, 2, 2, 0, 0};  // no experts: nothing to hide
  const PipelineTimes times = chunk_times({dense + 2.0 * kLayer, 3.0 * kLayer}, 1);
  EXPECT_EQ(times.stages[0].forward, 8);
  EXPECT_DOUBLE_EQ(times.pair_share, (18.0 + 18) / (24 + 27));
}

// The report's shape of costs: computation and all-to-all about 1:1 (spec 04, section 7). Hiding
// the all-to-all then takes a step of many micro-batches to about half of its time.
TEST(ChunkTimes, OverlapHalvesAStepOfEqualComputationAndCommunication) {
  const LayerTimes layer = {1, 1, 1, 1.5, 1.5};
  const PipelineSchedule schedule = make_schedule(ScheduleKind::kDualPipe, 4, 400);
  const double exposed = simulate(schedule, chunk_times(layer, {1, 1, 1, 1}, 0)).makespan;
  const double hidden = simulate(schedule, chunk_times(layer, {1, 1, 1, 1}, 1)).makespan;
  EXPECT_NEAR(hidden / exposed, 0.5, 0.02);
}

TEST(ChunkTimes, RefusesNonsense) {
  EXPECT_THROW(chunk_times(std::vector<LayerTimes>{}, 1), ConfigError);
  EXPECT_THROW(chunk_times(kLayer, {1}, 1.1), ConfigError);
  EXPECT_THROW(chunk_times(kLayer, {1}, -0.1), ConfigError);
  EXPECT_THROW(chunk_times(kLayer, {-1}, 1), ConfigError);
  EXPECT_THROW(chunk_times(kLayer, {1e308, 1e308}, 1), ConfigError);
}

}  // namespace
}  // namespace hadal
