#include "hadal/plan/expert_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hadal/core/error.h"
#include "tests/support/refusal.h"

namespace hadal {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(ExpertPlan, DefaultsAreDeepSeeksProductionDeployment) {
  // docs/serving_plan.md: prefill 4 nodes, EP32, 9 per GPU; decode 18 nodes, EP144, 2 per GPU.
  const PlacementShape prefill = placement_shape({}, 256);
  EXPECT_EQ(prefill.n_gpus, 32);
  EXPECT_EQ(prefill.n_nodes, 4);
  EXPECT_EQ(prefill.n_replicas, 288);
  const PlacementShape decode = placement_shape({.n_gpus = 144}, 256);
  EXPECT_EQ(decode.n_nodes, 18);
  EXPECT_EQ(decode.n_replicas, 288);
  // The report's decode unit: one expert per GPU, 64 GPUs more than experts.
  EXPECT_EQ(placement_shape({.n_gpus = 320}, 256).n_replicas, 320);
  // Small models, too.
  const PlacementShape small = placement_shape({.n_gpus = 3}, 16);
  EXPECT_EQ(small.n_nodes, 1);
  EXPECT_EQ(small.n_replicas, 18);
  EXPECT_EQ(placement_shape({}, 4).n_gpus, 1);
}

TEST(ExpertPlan, TakesWhatIsGivenAndRefusesContradictions) {
  const PlacementShape shape =
      placement_shape({.n_gpus = 8, .n_nodes = 2, .n_redundant = 4, .n_groups = 4}, 12);
  EXPECT_EQ(shape.n_replicas, 16);
  EXPECT_EQ(shape.n_nodes, 2);
  EXPECT_EQ(shape.n_groups, 4);
  EXPECT_EQ(placement_shape({.n_replicas = 16}, 12).n_replicas, 16);
  test::expect_refused<ConfigError>(
      [&] { placement_shape({.n_replicas = 16, .n_redundant = 4}, 12); },
      "n_redundant: given beside n_replicas");
  test::expect_refused<ConfigError>([&] { placement_shape({.n_redundant = -1}, 12); },
                                    "n_redundant: negative");
  // Out of range is refused by name where the plan is made, not by overflow here.
  const LayerLoads loads = zipf_layer_loads(1, 16, 1.0, 0);
  for (const int64_t n : {INT64_MIN, int64_t{-1}, int64_t{0}, INT64_MAX}) {
    const std::string found = concat(" (found ", n);
    for (const auto& [given, names] :
         {std::pair{ExpertPlanOptions{.n_gpus = n}, "n_gpus: out of range" + found},
          {{.n_nodes = n}, "n_nodes: unequal nodes" + found},
          {{.n_replicas = n}, concat("n_replicas: too ", n > 0 ? "many" : "few", found)}}) {
      test::expect_refused<ConfigError>(
          [&, &request = given] { plan_experts(loads, placement_shape(request, 16)); }, names);
    }
  }
  test::expect_refused<ConfigError>(
      [&] { plan_experts(loads, placement_shape({.n_redundant = INT64_MAX}, 16)); },
      "n_replicas: too many");
}

ExpertPlan small_plan() {
  // Two layers, four experts, two GPUs, one extra replica each. Layer 1: in order 8+2 and 1+1; the
  // 8 is split twice, so the copies weigh 8/3, and 8/3 8/3 1 | 8/3 2 1 are 19/3 and 17/3.
  LayerLoads loads;
  loads.load = {{8, 2, 1, 1}, {1, 1, 1, 1}};
  loads.layers = {1, 4};
  loads.source = "by hand";
  return plan_experts(loads, {.n_replicas = 6, .n_gpus = 2});
}

TEST(ExpertPlan, ComparesWithExpertsInOrder) {
  const ExpertPlan plan = small_plan();
  EXPECT_THAT(plan.gpu_before, ElementsAre(ElementsAre(10, 2), ElementsAre(2, 2)));
  EXPECT_NEAR(plan.before.per_layer[0], 0.6, 1e-12);
  EXPECT_NEAR(plan.after.per_layer[0], 18.0 / 19.0, 1e-12);
  // Without a copy the 8 stays whole: 8+1 and 2+1.
  ASSERT_TRUE(plan.packed.has_value());
  EXPECT_NEAR(plan.packed->per_layer[0], 6.0 / 9.0, 1e-12);
  // (19/3 + 2) / (10 + 2)
  EXPECT_NEAR(plan.time_share(), 25.0 / 36.0, 1e-12);
}

// Expert 0 has two copies on one GPU and one on the other: 8 = 4 + 4 makes both GPUs 6.
TEST(ExpertPlan, SplitsTokensAmongCopiesByTheProgram) {
  const ExpertPlan plan = small_plan();
  EXPECT_THAT(plan.gpu_split[0], ElementsAre(DoubleNear(6, 1e-12), DoubleNear(6, 1e-12)));
  EXPECT_NEAR(plan.split.per_layer[0], 1.0, 1e-12);
  EXPECT_NEAR(plan.time_share(plan.gpu_split), 8.0 / 12.0, 1e-12);
  const Json json = expert_plan_json(plan);
  EXPECT_NEAR(json.at("balancedness").at("placed_split_by_program").at("mean").as_number(), 1.0,
              1e-12);
  double of_first = 0.0;
  const std::vector<int32_t>& slots = plan.placement.expert_of_slot[0];
  for (size_t slot = 0; slot < slots.size(); ++slot) {
    if (slots[slot] == 0) {
      of_first += json.at("slot_shares").as_array()[0].as_array()[slot].as_number();
    }
  }
  EXPECT_NEAR(of_first, 1.0, 1e-12);
}

// Placed for loads 8 2 1 1, judged on 2 2 1 1: shares that suited the first do not suit the second.
TEST(ExpertPlan, JudgesOnLoadsOfAnotherTime) {
  LayerLoads planned, judged;
  planned.load = {{8, 2, 1, 1}};
  judged.load = {{2, 2, 1, 1}};
  planned.layers = judged.layers = {1};
  judged.source = "later";
  const PlacementShape shape{.n_replicas = 6, .n_gpus = 2};
  const ExpertPlan plan = plan_experts(planned, shape, judged);
  EXPECT_EQ(plan.placement.expert_of_slot, plan_experts(planned, shape).placement.expert_of_slot);
  EXPECT_THAT(plan.gpu_before[0], ElementsAre(4, 2));
  // GPUs (0 0 3) and (0 1 2): 4/3 + 1 and 2/3 + 3 by equal parts; the 5/8 and 3/8 of before make them 2.25
  // and 3.75; the program 2 + 1 and 3.
  EXPECT_NEAR(plan.after.mean, 3.0 / (11.0 / 3.0), 1e-12);
  ASSERT_TRUE(plan.split_ahead);
  EXPECT_NEAR(plan.split_ahead->mean, 3.0 / 3.75, 1e-12);
  EXPECT_NEAR(plan.split.mean, 1.0, 1e-12);
  judged.layers = {2};
  EXPECT_EQ(test::error_of([&] { plan_experts(planned, shape, judged); }),
            "later: loads of other layers or experts than those to place (found 1 layers of 4 "
            "experts, expected 1 of 4, the same layers)");
}

TEST(ExpertPlan, JsonHasThePublishedTables) {
  const Json json = expert_plan_json(small_plan());
  EXPECT_EQ(json.at("experts").as_integer(), 4);
  EXPECT_EQ(json.at("replicas").as_integer(), 6);
  EXPECT_EQ(json.at("redundant").as_integer(), 2);
  EXPECT_EQ(json.at("layers").dump(), "[1,4]");
  EXPECT_EQ(json.at("logcnt").as_array()[0].dump(), "[3,1,1,1]");
  EXPECT_EQ(json.at("phy2log").as_array()[0].as_array().size(), 6U);
  EXPECT_EQ(json.at("log2phy").as_array()[0].as_array()[1].as_array().size(), 3U);
  EXPECT_NEAR(json.at("balancedness").at("in_order").at("per_layer").as_array()[0].as_number(), 0.6,
              1e-12);
}

TEST(ExpertPlan, PictureHasACellPerGpuAndLayerOnBothSides) {
  const std::string svg = load_maps_svg(expert_load_maps(small_plan()));
  EXPECT_THAT(svg, HasSubstr("<svg xmlns"));
  EXPECT_THAT(svg, HasSubstr("</svg>"));
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  size_t cells = 0;
  for (size_t at = svg.find('M'); at != std::string::npos; at = svg.find('M', at + 1)) {
    if (svg.find('z', at) < svg.find('\n', at)) ++cells;  // closed shapes are cells
  }
  EXPECT_EQ(cells, 2U * 2U * 2U);
  LayerLoads idle;
  idle.load = {{0, 0}};
  idle.layers = {0};
  EXPECT_THAT(load_maps_svg(expert_load_maps(plan_experts(idle, {.n_replicas = 2, .n_gpus = 2}))),
              Not(HasSubstr("nan")));
  test::expect_refused<ConfigError>(
      [&] {
        load_maps_svg(expert_load_maps(
            plan_experts(zipf_layer_loads(1, 16, 1, 0), {.n_replicas = 4096, .n_gpus = 4096})));
      },
      "svg: too much to draw");
}

}  // namespace
}  // namespace hadal
