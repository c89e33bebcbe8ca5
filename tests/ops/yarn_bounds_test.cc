// YaRN at the ends of its ranges, against the published formulas written down once more.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "hadal/ops/rope_yarn.h"

namespace hadal {
namespace {

// With so small a base the slow bound lies behind the last pair, 31: it is capped at dim - 1, as in
// the published code, and not at the number of pairs.
TEST(YarnBounds, TheSlowBoundMayLieBehindTheLastPair) {
  const RopeConfig config{
      .dim = 64, .theta = 100, .yarn = YarnConfig{.factor = 8, .original_max_position = 4096}};
  const auto bound = [](double rotations) {
    return 64 * std::log(4096 / (rotations * 2 * std::numbers::pi)) / (2 * std::log(100.0));
  };
  const double low = std::floor(bound(32)), high = std::min(std::ceil(bound(1)), 63.0);
  ASSERT_GT(high, 32);
  const std::vector<double> inv_freq = rope_inv_freq(config);
  for (size_t i = 0; i < inv_freq.size(); ++i) {
    const double pair = static_cast<double>(i);
    const double blend = std::clamp((pair - low) / (high - low), 0.0, 1.0);
    const double plain = std::pow(100.0, -2 * pair / 64);
    EXPECT_NEAR(inv_freq[i], plain * (1 - blend) + plain / 8 * blend, 1e-12) << i;
  }
}

TEST(YarnBounds, AFactorOfAtMostOneExtendsNothing) {
  for (const double factor : {0.5, 1.0}) {
    const RopeConfig config{.yarn =
                                YarnConfig{.factor = factor, .mscale = 2, .mscale_all_dim = 0.5}};
    EXPECT_EQ(rope_magnitude(config), 1.0);
    EXPECT_EQ(softmax_scale(config, 64), 0.125);
  }
}

}  // namespace
}  // namespace hadal
