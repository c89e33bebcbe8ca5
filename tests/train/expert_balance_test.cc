#include "hadal/train/expert_balance.h"

#include <gtest/gtest.h>

#include "tests/support/refusal.h"

namespace hadal {
namespace {

TEST(ExpertBalance, RouteBiasMovesAgainstTheExcess) {
  Arena arena;
  Param bias;
  bias.master = Tensor::zeros(arena, DType::kF32, {4});
  update_route_bias(bias, std::vector<int64_t>{2, 4, 3, 3}, 0.5F);  // mean 3
  const auto values = std::as_const(bias.master).flat<float>();
  EXPECT_EQ(std::vector<float>(values.begin(), values.end()),
            (std::vector<float>{0.5F, -0.5F, 0.0F, 0.0F}));
  update_route_bias(bias, std::vector<int64_t>{3, 2, 2, 3}, 0.5F);  // mean 2.5
  EXPECT_EQ(std::vector<float>(values.begin(), values.end()),
            (std::vector<float>{0.0F, 0.0F, 0.5F, -0.5F}));
  test::expect_refused<ShapeError>(
      [&] {
        update_route_bias(bias, std::vector<int64_t>{1, 2}, 0.5F);
      },
      "update_route_bias: 2 loads for 4 experts");
}

TEST(ExpertBalance, MaxViolation) {
  EXPECT_DOUBLE_EQ(max_violation(std::vector<int64_t>{3, 3, 3}), 0.0);
  EXPECT_DOUBLE_EQ(max_violation(std::vector<int64_t>{0, 12, 0, 0}), 3.0);
  EXPECT_DOUBLE_EQ(max_violation(std::vector<int64_t>{0, 0}), 0.0);
}

}  // namespace
}  // namespace hadal
