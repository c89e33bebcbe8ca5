// The choice by groups on a case that can be followed by hand: eight experts in four groups of two.
#include "hadal/ops/router.h"
#include "tests/ops/op_test.h"

namespace hadal::test {
namespace {

const std::vector<float> kLogits = {3, -3, 2, 2, 0, 0, -1, -1};

struct Choice {
  std::vector<int32_t> experts;
  std::vector<float> gates;
};

Choice choose(Device device, const RouterConfig& config, const std::vector<float>& bias) {
  Machine machine(device);
  const int64_t K = config.top_k;
  Choice choice{std::vector<int32_t>(static_cast<size_t>(K)),
                std::vector<float>(static_cast<size_t>(K))};
  std::vector<float> scores(8);
  route_forward(machine.ctx(), {choice.experts.data(), {1, K}}, {choice.gates.data(), {1, K}},
                {scores.data(), {1, 8}}, {kLogits.data(), {1, 8}},
                {bias.data(), {static_cast<int64_t>(bias.size())}}, config);
  return choice;
}

class RouterGroups : public ::testing::TestWithParam<Device> {
 protected:
  RouterConfig config_{.n_routed_experts = 8,
                       .top_k = 2,
                       .n_group = 4,
                       .topk_group = 1,
                       .norm_topk_prob = false,
                       .routed_scaling_factor = 2.5F};
};
INSTANTIATE_TEST_SUITE_P(Backends, RouterGroups, ::testing::ValuesIn(all_devices()));

// Expert 0 has the largest score, but of the groups that with 2 and 3 has the largest sum.
TEST_P(RouterGroups, OneGroupMayBeReachedAndItsBestTwoChooseIt) {
  EXPECT_EQ(choose(GetParam(), config_, std::vector<float>(8)).experts,
            (std::vector<int32_t>{2, 3}));
  config_.topk_group = 2;
  EXPECT_EQ(choose(GetParam(), config_, std::vector<float>(8)).experts,
            (std::vector<int32_t>{0, 2}));
}

TEST_P(RouterGroups, TheBestOneChoosesItsGroupWhereTheMethodSaysSo) {
  config_.method = TopkMethod::kGroupLimitedGreedy;
  EXPECT_EQ(choose(GetParam(), config_, {}).experts, (std::vector<int32_t>{0, 1}));
}

// A bias chooses and weighs nothing; weights that are not normalised are scaled all the same.
TEST_P(RouterGroups, GatesAreScaledScoresWithoutTheBias) {
  const Choice choice = choose(GetParam(), config_, {0, 0, 0, 0, 0, 0, 9, 9});
  EXPECT_EQ(choice.experts, (std::vector<int32_t>{6, 7}));
  const double gate = 2.5 / (1.0 + std::exp(1.0));
  EXPECT_NEAR(choice.gates[0], gate, 1e-6);
  EXPECT_NEAR(choice.gates[1], gate, 1e-6);
}

}  // namespace
}  // namespace hadal::test
