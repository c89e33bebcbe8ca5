// Copies of experts: tokens go to slots of the experts that they chose, in the shares of the slots.
#include "hadal/ops/expert_slots.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "hadal/core/error.h"
#include "hadal/core/rng.h"
#include "tests/support/refusal.h"

namespace hadal::test {
namespace {

using ::testing::DoubleEq;
using ::testing::ElementsAre;

std::vector<int32_t> chosen(const std::vector<int32_t>& experts, int64_t n_tokens,
                            const ExpertSlots& of, int64_t turn) {
  const int64_t top_k = std::ssize(experts) / n_tokens;
  std::vector<int32_t> slots(experts.size(), -1);
  choose_slots(View<int32_t, 2>(slots.data(), {n_tokens, top_k}),
               View<const int32_t, 2>(experts.data(), {n_tokens, top_k}), of, turn);
  return slots;
}

TEST(ExpertSlots, ListsTheSlotsOfEveryExpert) {
  const ExpertSlots slots = ExpertSlots::of({2, 0, 2, 1}, 3, {2, 4});
  EXPECT_THAT(slots.slots_of, ElementsAre(ElementsAre(1), ElementsAre(3), ElementsAre(0, 2)));
  EXPECT_THAT(slots.shares, ElementsAre(0.5, 1, 0.5, 1));
  EXPECT_EQ(slots.here.first, 2);
  expect_refused<ShapeError>(
      [] {
        ExpertSlots::of({0, 0}, 2, {0, 2});
      },
      "expert slots: expert 1 has none");
  expect_refused<ShapeError>(
      [] {
        ExpertSlots::of({0, 2}, 2, {0, 2});
      },
      "expert slots: slot 1 holds expert 2 of 2");
}

// Four tokens of expert 0 by shares 3/4 and 1/4: the border lies after the third token, or a part before it.
TEST(ExpertSlots, SharesByHand) {
  ExpertSlots slots = ExpertSlots::of({0, 1, 0}, 2, {0, 3});
  slots.shares = {0.75, 1.0, 0.25};
  EXPECT_THAT(chosen({0, 0, 1, 0, 0}, 5, slots, 0), ElementsAre(0, 0, 1, 0, 2));
  slots.shares = {0.0, 1.0, 1.0};
  EXPECT_THAT(chosen({0, 1, 0}, 3, slots, 0), ElementsAre(2, 1, 2));
}

TEST(ExpertSlots, EverySlotGetsItsShareToWithinOne) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(concat("seed ", seed));
    Rng rng(seed, 9);
    const auto n_experts = static_cast<int32_t>(1 + rng.uniform_below(6));
    std::vector<int32_t> expert_of;
    for (int32_t e = 0; e < n_experts; ++e) expert_of.push_back(e);
    for (uint64_t i = rng.uniform_below(8); i > 0; --i) {
      expert_of.push_back(
          static_cast<int32_t>(rng.uniform_below(static_cast<uint64_t>(n_experts))));
    }
    ExpertSlots slots = ExpertSlots::of(expert_of, n_experts, {0, std::ssize(expert_of)});
    for (const std::vector<int32_t>& own : slots.slots_of) {  // any shares
      double sum = 0.0;
      for (const int32_t s : own) {
        slots.shares[static_cast<size_t>(s)] = static_cast<double>(1 + rng.uniform_below(9));
        sum += slots.shares[static_cast<size_t>(s)];
      }
      for (const int32_t s : own) slots.shares[static_cast<size_t>(s)] /= sum;
    }
    std::vector<int32_t> experts;
    const int64_t n_tokens = 1 + static_cast<int64_t>(rng.uniform_below(60));
    for (int64_t t = 0; t < n_tokens; ++t) {
      experts.push_back(static_cast<int32_t>(rng.uniform_below(static_cast<uint64_t>(n_experts))));
    }
    const auto turn = static_cast<int64_t>(rng.uniform_below(1000));
    const std::vector<int32_t> got = chosen(experts, n_tokens, slots, turn);
    EXPECT_EQ(got, chosen(experts, n_tokens, slots, turn));
    std::vector<double> count(expert_of.size(), 0.0), load(static_cast<size_t>(n_experts), 0.0);
    for (size_t t = 0; t < experts.size(); ++t) {
      ASSERT_EQ(expert_of.at(static_cast<size_t>(got[t])), experts[t]);
      count[static_cast<size_t>(got[t])] += 1.0;
      load[static_cast<size_t>(experts[t])] += 1.0;
    }
    for (size_t s = 0; s < count.size(); ++s) {
      const double share = slots.shares[s] * load[static_cast<size_t>(expert_of[s])];
      EXPECT_LT(std::abs(count[s] - share), 1.0 + 1e-9) << s;
    }
  }
}

// Places that have one token each, or passes of one token: about every second one takes the second copy.
TEST(ExpertSlots, TurnsShareOutSingleTokens) {
  const ExpertSlots slots = ExpertSlots::of({0, 0}, 1, {0, 2});
  int to_second = 0;
  for (int64_t turn = 0; turn < 100; ++turn) to_second += chosen({0}, 1, slots, turn).front();
  EXPECT_NEAR(to_second, 50, 2);
  EXPECT_NE(chosen({0}, 1, slots, 0), chosen({0}, 1, slots, 1));
}

}  // namespace
}  // namespace hadal::test
