#include "hadal/schedule/placement_moves.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "hadal/core/error.h"
#include "hadal/core/rng.h"

namespace hadal {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Experts = std::vector<int32_t>;

TEST(PlacementMoves, WhatOnlyChangedPlacesStays) {
  // The same pairs on other GPUs and the other way round: nothing has to move.
  const Experts now = {0, 1, 2, 3, 4, 5};
  const Experts next = stay_in_place({5, 4, 1, 0, 3, 2}, now, 3, 1);
  EXPECT_EQ(next, now);
  EXPECT_THAT(moves_between(now, next, 3), IsEmpty());
}

TEST(PlacementMoves, GpusKeepWhatTheyShare) {
  // (1 2) shares one expert with the first and the second GPU, (0 3) with both, too: the first pair wins.
  const Experts now = {0, 1, 2, 3};
  EXPECT_THAT(stay_in_place({1, 2, 0, 3}, now, 2, 1), ElementsAre(2, 1, 0, 3));
  // Room for copies: an expert stays in its slot.
  EXPECT_THAT(stay_in_place({3, 2, 0, 0, 1, 2}, now, 2, 1), ElementsAre(0, 1, 2, 2, 3, 0));
}

TEST(PlacementMoves, NodesKeepTheirExperts) {
  // The two nodes hold each other's experts: they may not be renumbered.
  EXPECT_THAT(stay_in_place({2, 3, 1, 0}, {0, 1, 2, 3}, 4, 2), ElementsAre(2, 3, 1, 0));
  EXPECT_THAT(stay_in_place({1, 0, 3, 2}, {0, 1, 2, 3}, 4, 2), ElementsAre(0, 1, 2, 3));
}

TEST(PlacementMoves, HoldersSendInTurn) {
  // Expert 0 is on GPUs 0 and 1; GPUs 2 and 3 want it, 2 twice.
  const std::vector<ExpertMove> moves =
      moves_between({0, 1, 0, 2, 1, 2, 3, 3}, {0, 1, 0, 2, 0, 0, 3, 0}, 4);
  EXPECT_THAT(moves, ElementsAre(ExpertMove{0, 0, 2}, ExpertMove{0, 1, 3}));
}

TEST(PlacementMoves, AnyTwoPlacements) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(concat("seed ", seed));
    Rng rng(seed, 21);
    const int64_t n_nodes = int64_t{1} << rng.uniform_below(2);
    const int64_t n_gpus = n_nodes << rng.uniform_below(3);
    const auto draw = [&](int64_t n_slots) {
      Experts slots;
      for (int64_t s = 0; s < n_slots; ++s) {
        slots.push_back(
            static_cast<int32_t>(s < 8 ? s : static_cast<int64_t>(rng.uniform_below(8))));
      }
      for (size_t i = slots.size() - 1; i > 0; --i)
        std::swap(slots[i], slots[rng.uniform_below(i + 1)]);
      return slots;
    };
    const Experts now = draw(8 + n_gpus * static_cast<int64_t>(rng.uniform_below(3)));
    const Experts wish = draw(8 + n_gpus * static_cast<int64_t>(rng.uniform_below(3)));
    const Experts next = stay_in_place(wish, now, n_gpus, n_nodes);
    ASSERT_EQ(next.size(), wish.size());
    // The GPUs of a node hold the same packs.
    const auto packs = [&](const Experts& slots, int64_t node) {
      std::multiset<Experts> found;
      const auto size = std::ssize(slots) / n_gpus;
      for (int64_t g = node * n_gpus / n_nodes; g < (node + 1) * n_gpus / n_nodes; ++g) {
        Experts pack(slots.begin() + g * size, slots.begin() + (g + 1) * size);
        std::ranges::sort(pack);
        found.insert(pack);
      }
      return found;
    };
    for (int64_t node = 0; node < n_nodes; ++node) EXPECT_EQ(packs(next, node), packs(wish, node));
    EXPECT_LE(moves_between(now, next, n_gpus).size(), 8U * static_cast<size_t>(n_gpus));
    // With what was there and what comes, every GPU has what it wants; senders have what they send.
    const auto holds = [&](const Experts& slots, int32_t gpu, int32_t expert) {
      const auto size = std::ssize(slots) / n_gpus;
      const auto first = slots.begin() + gpu * size;
      return std::find(first, first + size, expert) != first + size;
    };
    const std::vector<ExpertMove> moves = moves_between(now, next, n_gpus);
    for (const ExpertMove& move : moves) {
      EXPECT_TRUE(holds(now, move.from, move.expert));
      EXPECT_FALSE(holds(now, move.to, move.expert));
      EXPECT_TRUE(holds(next, move.to, move.expert));
      EXPECT_EQ(std::ranges::count_if(moves,
                                      [&](const ExpertMove& other) {
                                        return other.to == move.to && other.expert == move.expert;
                                      }),
                1);
    }
    for (int32_t gpu = 0; gpu < n_gpus; ++gpu) {
      for (int32_t expert = 0; expert < 8; ++expert) {
        if (!holds(next, gpu, expert) || holds(now, gpu, expert)) continue;
        EXPECT_TRUE(std::ranges::any_of(moves, [&](const ExpertMove& move) {
          return move.to == gpu && move.expert == expert;
        }));
      }
    }
  }
}

}  // namespace
}  // namespace hadal
