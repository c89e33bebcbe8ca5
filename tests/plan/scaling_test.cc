#include "hadal/plan/scaling.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "hadal/core/error.h"
#include "tests/support/refusal.h"

namespace hadal {
namespace {

using ::testing::HasSubstr;

ScalingRequest v3_on(std::vector<int64_t> gpus, const std::string& layout, bool weak) {
  ScalingRequest request;
  request.base.model_name = "deepseek-v3";
  request.base.cluster = find_cluster("h800-2048");
  request.base.layout = layout;
  request.gpus = std::move(gpus);
  request.weak = weak;
  return request;
}

ScalingStudy study(const ScalingRequest& request) {
  return study_scaling(request, [](int64_t) {});
}

double at(const ScalingStudy& study, size_t row, const std::string& name) {
  for (size_t c = 0; c < study.table.columns.size(); ++c) {
    if (study.table.columns[c].name == name) return study.table.rows[row][c];
  }
  ADD_FAILURE() << "no column " << name;
  return 0;
}

const char* const kPublished = "pp=16,ep=64";

TEST(Scaling, ThePublishedClusterIsThePublishedRun) {
  for (const bool weak : {false, true}) {
    const ScalingStudy s = study(v3_on({2048}, kPublished, weak));
    EXPECT_NEAR(at(s, 0, "step_seconds"), 19.926, 0.01 * 19.926);
    EXPECT_EQ(at(s, 0, "batch_sequences"), 15360);
    EXPECT_EQ(at(s, 0, "micro_batches"), 120);
  }
}

TEST(Scaling, StrongKeepsTheBatchAndFillsPipelinesLess) {
  const ScalingStudy s = study(v3_on({1024, 2048, 4096}, kPublished, false));
  for (size_t r = 0; r < 3; ++r) EXPECT_EQ(at(s, r, "batch_sequences"), 15360);
  EXPECT_EQ(at(s, 1, "micro_batches"), 120);
  EXPECT_EQ(at(s, 2, "micro_batches"), 60);
  for (size_t r = 1; r < 3; ++r) {
    EXPECT_GT(at(s, r, "bubble_share"), at(s, r - 1, "bubble_share"));
    EXPECT_LT(at(s, r, "mfu"), at(s, r - 1, "mfu"));
    const double speedup = at(s, r, "tokens_per_second") / at(s, r - 1, "tokens_per_second");
    EXPECT_GT(speedup, 1);
    EXPECT_LT(speedup, 2);
  }
}

TEST(Scaling, WeakKeepsTheWorkOfAGpu) {
  const ScalingStudy s = study(v3_on({2048, 16384}, kPublished, true));
  EXPECT_EQ(at(s, 1, "batch_sequences"), 8 * 15360);
  EXPECT_EQ(at(s, 1, "micro_batches"), 120);
  EXPECT_NEAR(at(s, 1, "mfu"), at(s, 0, "mfu"), 0.01);
  EXPECT_NEAR(at(s, 1, "tokens_per_second") / at(s, 0, "tokens_per_second"), 8, 0.1);
}

// 15 micro-batches per replica: odd, and fewer than DualPipe needs for 16 stages.
TEST(Scaling, ALayoutIsChosenWhereTheFixedOneFails) {
  const ScalingStudy fixed = study(v3_on({2048, 16384}, kPublished, false));
  EXPECT_EQ(fixed.layouts[1], "none");
  EXPECT_TRUE(std::isnan(at(fixed, 1, "mfu")));
  EXPECT_FALSE(fixed.table.problems[1].empty());
  const ScalingStudy searched = study(v3_on({16384}, "", false));
  EXPECT_GT(at(searched, 0, "mfu"), 0);
  EXPECT_THAT(searched.layouts[0], HasSubstr("pp="));
}

TEST(Scaling, SaysWhereTheNetworkEnds) {
  const ScalingStudy s = study(v3_on({16384, 32768}, kPublished, true));
  EXPECT_TRUE(s.table.problems[0].empty());
  EXPECT_THAT(s.table.problems[1].line(), HasSubstr("16384 endpoints"));
  EXPECT_GT(at(s, 1, "mfu"), 0);
}

TEST(Scaling, RefusesWhatIsNoCluster) {
  test::expect_refused<ConfigError>([&] { study(v3_on({}, "", false)); },
                                    "gpus: nothing to plan for");
  test::expect_refused<ConfigError>([&] { study(v3_on({2049}, "", false)); },
                                    "gpus: not a number of whole nodes");
  test::expect_refused<ConfigError>([&] { study(v3_on({0}, "", false)); },
                                    "gpus: not a number of whole nodes");
  test::expect_refused<ConfigError>(
      [&] { study(v3_on({8}, kPublished, false)); },
      "layout: pp: the GPUs do not divide into pipelines");  // no point is possible
}

TEST(Scaling, TheChartHasThreePanels) {
  const ScalingRequest request = v3_on({1024, 2048}, kPublished, true);
  const LineChart chart = scaling_chart(request, study(request));
  ASSERT_EQ(chart.panels.size(), 3u);
  EXPECT_THAT(chart.title, HasSubstr("weak scaling"));
  EXPECT_EQ(chart.panels[0].lines[0].x, (std::vector<double>{1024, 2048}));
}

}  // namespace
}  // namespace hadal
