// Tokens among copies of experts: against a plain enumeration of the dual, and the bound that proves it.
#include "hadal/schedule/replica_split.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "hadal/core/error.h"
#include "hadal/core/rng.h"
#include "hadal/schedule/expert_balance.h"
#include "hadal/schedule/expert_load.h"

namespace hadal {
namespace {

using ::testing::DoubleEq;
using ::testing::Each;
using ::testing::ElementsAre;
using Loading = std::vector<double>;
using SlotList = std::vector<int32_t>;

double heaviest(const Loading& of_slot, int64_t n_gpus) {
  const Loading gpus = gpu_sums(of_slot, n_gpus);
  return *std::max_element(gpus.begin(), gpus.end());
}

// Every expert's load is on its slots, and nothing is negative.
void expect_split(const Loading& load, const SlotList& expert_of_slot, const Loading& of_slot) {
  Loading sums(load.size(), 0.0);
  for (size_t slot = 0; slot < of_slot.size(); ++slot) {
    EXPECT_GE(of_slot[slot], 0.0) << slot;
    sums[static_cast<size_t>(expert_of_slot[slot])] += of_slot[slot];
  }
  const double all = std::accumulate(load.begin(), load.end(), 0.0);
  for (size_t e = 0; e < load.size(); ++e) EXPECT_NEAR(sums[e], load[e], 1e-12 * all) << e;
}

// By the theorem of maximum flow and minimum cut: the most that any set of GPUs has to itself, over its
// size. All sets are tried.
double least_heaviest(const Loading& load, const SlotList& expert_of_slot, int64_t n_gpus) {
  const auto n_slots = static_cast<int64_t>(expert_of_slot.size());
  std::vector<uint32_t> gpus_of(load.size(), 0);
  for (int64_t slot = 0; slot < n_slots; ++slot) {
    gpus_of[static_cast<size_t>(expert_of_slot[static_cast<size_t>(slot)])] |=
        1U << gpu_of_slot(slot, n_slots, n_gpus);
  }
  double most = 0.0;
  for (uint32_t set = 1; set < (1U << n_gpus); ++set) {
    double own = 0.0;
    for (size_t e = 0; e < load.size(); ++e) {
      if ((gpus_of[e] & ~set) == 0) own += load[e];
    }
    most = std::max(most, own / __builtin_popcount(set));
  }
  return most;
}

// Any slots, all experts among them.
SlotList random_slots(Rng& rng, int64_t n_experts, int64_t n_slots) {
  SlotList slots;
  for (int64_t slot = 0; slot < n_slots; ++slot) {
    slots.push_back(static_cast<int32_t>(
        slot < n_experts
            ? slot
            : static_cast<int64_t>(rng.uniform_below(static_cast<uint64_t>(n_experts)))));
  }
  for (size_t i = slots.size() - 1; i > 0; --i)
    std::swap(slots[i], slots[rng.uniform_below(i + 1)]);
  return slots;
}

TEST(ReplicaSplit, EquallyByHand) {
  EXPECT_THAT(split_equally({6, 1, 0}, {0, 1, 0, 2, 0, 2}), ElementsAre(2, 1, 2, 0, 2, 0));
}

// GPUs (0 1) (0 2): equally 3+4 and 3+2; the program moves one unit of expert 0.
TEST(ReplicaSplit, ByProgramByHand) {
  const MinMaxSplit split = split_by_program({6, 4, 2}, {0, 1, 0, 2}, 2);
  EXPECT_THAT(split.load_of_slot, ElementsAre(2, 4, 4, 2));
  EXPECT_EQ(split.bound, 6);
  EXPECT_THAT(slot_shares(split.load_of_slot, {0, 1, 0, 2}, 3),
              ElementsAre(DoubleEq(1.0 / 3), 1, DoubleEq(2.0 / 3), 1));
  // By way of a third GPU: (0 1) (1 2) (2 3), expert 0 alone on the first. 9 | 1.5+1.5, 1.5+0 + 1.5.
  const MinMaxSplit chain = split_by_program({3, 3, 3, 0}, {0, 1, 1, 2, 2, 3}, 3);
  EXPECT_THAT(gpu_sums(chain.load_of_slot, 3), Each(DoubleEq(3)));
  // A GPU whose expert has no copy elsewhere bounds all others.
  EXPECT_EQ(split_by_program({9, 1, 1}, {0, 0, 1, 2}, 2).bound, 9);
}

TEST(ReplicaSplit, ExpertsWithoutLoadShareEqually) {
  const SlotList slots = {0, 1, 1, 1};
  EXPECT_THAT(slot_shares(split_by_program({2, 0}, slots, 2).load_of_slot, slots, 2),
              ElementsAre(1, DoubleEq(1.0 / 3), DoubleEq(1.0 / 3), DoubleEq(1.0 / 3)));
  EXPECT_EQ(split_by_program({0, 0}, slots, 2).bound, 0.0);
}

TEST(ReplicaSplit, AgainstAllSetsOfGpus) {
  for (uint64_t seed = 0; seed < 400; ++seed) {
    SCOPED_TRACE(concat("seed ", seed));
    Rng rng(seed, 5);
    const auto n_gpus = static_cast<int64_t>(2 + rng.uniform_below(7));
    const auto n_slots = n_gpus * static_cast<int64_t>(1 + rng.uniform_below(4));
    const auto n_experts =
        static_cast<int64_t>(1 + rng.uniform_below(static_cast<uint64_t>(n_slots)));
    const SlotList slots = random_slots(rng, n_experts, n_slots);
    Loading load;
    for (int64_t e = 0; e < n_experts; ++e) {
      const uint64_t drawn = rng.uniform_below(40);
      load.push_back(seed % 2 == 0 ? static_cast<double>(drawn) : 0.1 * static_cast<double>(drawn));
    }
    const MinMaxSplit split = split_by_program(load, slots, n_gpus);
    expect_split(load, slots, split.load_of_slot);
    const double least = least_heaviest(load, slots, n_gpus);
    EXPECT_NEAR(split.bound, least, 1e-10 * least);
    EXPECT_LE(heaviest(split.load_of_slot, n_gpus), least * (1.0 + 1e-10));
  }
}

// The sizes of a deployment: the bound is reached, and equal shares never get below it.
TEST(ReplicaSplit, ReachesItsBound) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE(concat("seed ", seed));
    const Loading load =
        zipf_layer_loads(1, 256, 0.2 + 0.1 * static_cast<double>(seed % 10), seed).load[0];
    const int64_t n_gpus = seed % 2 == 0 ? 32 : 144;
    const ExpertPlacement placed = place_experts({load}, {.n_replicas = 288, .n_gpus = n_gpus});
    const SlotList& slots = placed.expert_of_slot[0];
    const MinMaxSplit split = split_by_program(load, slots, n_gpus);
    expect_split(load, slots, split.load_of_slot);
    EXPECT_LE(heaviest(split.load_of_slot, n_gpus), split.bound * (1.0 + 1e-10));
    EXPECT_GE(heaviest(split_equally(load, slots), n_gpus), split.bound * (1.0 - 1e-10));
  }
}

}  // namespace
}  // namespace hadal
