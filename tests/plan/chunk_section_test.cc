#include <gtest/gtest.h>

#include "hadal/plan/training_plan.h"

namespace hadal {
namespace {

// With full recomputation the forward pass, its all-to-all included, runs once more before backward.
TEST(ChunkWork, FullRecomputationDispatchesOnceMore) {
  TrainingPlan plan;
  plan.cluster = find_cluster("h800-2048");
  plan.recipe = recipe_for(plan.config);
  Worksheet sheet = make_training_sheet(plan);
  for (const auto& [policy, times] : {std::pair{0.0, 1.0}, {1.0, 1.0}, {2.0, 2.0}}) {
    sheet.set("recompute", policy);
    const double forward = sheet.value("chunk_all_to_all_forward");
    EXPECT_GT(forward, 0);
    EXPECT_DOUBLE_EQ(sheet.value("chunk_all_to_all_backward"), times * forward) << policy;
  }
}

}  // namespace
}  // namespace hadal
