// Copies of experts on ranks, wherever they are: outputs have the bits of one rank that has each expert once.
#include <gmock/gmock.h>

#include "hadal/core/rng.h"
#include "tests/parallel/expert_ranks.h"
#include "tests/support/refusal.h"

namespace hadal::test {
namespace {

using SlotList = std::vector<int32_t>;

// Every expert once at least, in any order.
SlotList random_placement(Rng& rng, int64_t n_experts, int64_t n_slots) {
  SlotList slots;
  for (int64_t slot = 0; slot < n_slots; ++slot) {
    slots.push_back(slot < n_experts ? static_cast<int32_t>(slot)
                                     : static_cast<int32_t>(
                                           rng.uniform_below(static_cast<uint64_t>(n_experts))));
  }
  for (size_t i = slots.size() - 1; i > 0; --i)
    std::swap(slots[i], slots[rng.uniform_below(i + 1)]);
  return slots;
}

// A rank of its part of the slots.
struct SlotRank : ExpertRank {
  SlotRank(const ExpertCase& of, const SlotList& expert_of, int rank)
      : ExpertRank(of, {0, of.config.router.n_routed_experts}) {
    const int64_t n = std::ssize(expert_of) / of.n_ranks();
    const ExpertRange here{rank * n, (rank + 1) * n};
    for (GroupedLinear* each : experts()) {
      std::vector<Param> held;
      for (int64_t slot = here.first; slot < here.last; ++slot) {
        held.push_back(each->weights[static_cast<size_t>(expert_of[static_cast<size_t>(slot)])]
                           .share_values());
      }
      each->weights = std::move(held);
    }
    moe().range = {};
    moe().slots = ExpertSlots::of(expert_of, of.config.router.n_routed_experts, here);
  }
};

struct SlotRun {
  std::vector<float> y;
  std::vector<int64_t> rows;  // of each rank's experts
};

// F alone: nothing learns behind copies.
SlotRun run_slots(const ExpertCase& of, const SlotList& expert_of) {
  std::vector<std::unique_ptr<SlotRank>> ranks;
  for (int rank = 0; rank < of.n_ranks(); ++rank) {
    ranks.push_back(std::make_unique<SlotRank>(of, expert_of, rank));
  }
  run_thread_ranks({.n_ranks = of.n_ranks(), .patience_seconds = 60}, [&](Communicator& comm) {
    const auto me = static_cast<size_t>(comm.rank());
    ExpertDispatcher dispatcher(comm, of.how);
    ExpertWalk& walk =
        ranks[me]->walk.emplace(of, *ranks[me], ranks[me]->layer, me, me + 1, of.seed + 10);
    for (int n = 0; n < ExpertWalk::kForward; ++n) walk.phase(n, dispatcher);
  });
  SlotRun run;
  for (const auto& rank : ranks) {
    const std::vector<float> mine = elements(std::as_const(rank->walk->y).mat());
    run.y.insert(run.y.end(), mine.begin(), mine.end());
    run.rows.push_back(rank->walk->n_rows);
  }
  return run;
}

void expect_slots_as_one_rank(const ExpertCase& of, const SlotList& expert_of) {
  const auto one = run_one_rank(of);
  const SlotRun run = run_slots(of, expert_of);
  EXPECT_EQ(run.y, elements(std::as_const(one->walk->y).mat()));
  EXPECT_EQ(std::accumulate(run.rows.begin(), run.rows.end(), int64_t{0}), one->walk->n_rows);
}

TEST(ExpertSlotsOnRanks, CopiesGiveTheBitsOfOneRank) {
  const ExpertCase two{.tokens = {7, 9}, .part = Part::kLayer};
  expect_slots_as_one_rank(two, {7, 6, 5, 4, 3, 2, 1, 0});
  expect_slots_as_one_rank(two, {0, 0, 1, 2, 3, 0, 4, 5, 6, 7});
  const ExpertCase four{.tokens = {5, 3, 0, 6}, .part = Part::kLayer};
  expect_slots_as_one_rank(four, {5, 0, 1, 5, 2, 3, 4, 5, 6, 7, 5, 5});
  const ExpertCase eight{.tokens = {5, 3, 8, 6, 0, 4, 2, 7}};
  expect_slots_as_one_rank(eight, {0, 1, 2, 3, 4, 5, 6, 7, 3, 3, 3, 3, 2, 2, 1, 0});
}

// Whatever a seed draws: ranks, slots, precision, nodes, and how copies are chosen.
TEST(ExpertSlotsOnRanks, RandomPlacements) {
  for (uint64_t seed = 1; seed <= 16; ++seed) {
    SCOPED_TRACE(concat("seed ", seed));
    Rng rng(seed, 13);
    const int n_ranks = 2 << rng.uniform_below(3);
    ExpertCase of;
    of.seed = seed;
    for (int rank = 0; rank < n_ranks; ++rank) {
      of.tokens.push_back(static_cast<int64_t>(rng.uniform_below(12)));
    }
    of.tokens.front() += 1;
    const Precision precisions[] = {Precision::kF32, Precision::kBf16, Precision::kFp8};
    of.precision = precisions[rng.uniform_below(3)];
    of.how.copies = rng.uniform_below(2) == 0 ? CopyChoice::kShares : CopyChoice::kProgram;
    of.how.hierarchical = rng.uniform_below(3) == 0;
    if (of.how.hierarchical) {
      for (int rank = 0; rank < n_ranks; ++rank) of.how.node_of.push_back(rank / (n_ranks / 2));
    }
    const auto n_slots = 8 + n_ranks * static_cast<int64_t>(rng.uniform_below(3));
    const SlotList placement = random_placement(rng, 8, n_slots);
    expect_slots_as_one_rank(of, placement);
    of.how.combine = CombineForm::kBf16;
    of.how.dispatch = DispatchForm::kFp8;
    EXPECT_EQ(run_slots(of, placement).y, run_slots(of, placement).y);
  }
}

// On one rank copies are chosen alike.
TEST(ExpertSlotsOnRanks, OneMemory) {
  ExpertCase of{.tokens = {9}, .part = Part::kLayer};
  const auto one = run_one_rank(of);
  SlotRank copies(of, {3, 7, 6, 5, 4, 3, 2, 1, 0, 3}, 0);
  LocalDispatcher local;
  ExpertWalk walk(of, copies, copies.layer, 0, 1, of.seed + 10);
  for (int n = 0; n < ExpertWalk::kForward; ++n) walk.phase(n, local);
  EXPECT_EQ(elements(std::as_const(walk.y).mat()), elements(std::as_const(one->walk->y).mat()));
}

// Every token chooses expert 5. It has copies on three of four ranks.
TEST(ExpertSlotsOnRanks, TokensAreSharedOutAmongCopies) {
  ExpertCase one{.tokens = {14, 16, 13, 17}};
  one.config.router.top_k = one.config.router.n_group = one.config.router.topk_group = 1;
  one.route_bias = {0, 0, 0, 0, 0, 50, 0, 0};
  const SlotList placement = {0, 1, 5, 2, 3, 5, 4, 6, 7, 7, 5, 0};
  for (const CopyChoice copies : {CopyChoice::kShares, CopyChoice::kProgram}) {
    one.how.copies = copies;
    const std::vector<int64_t> rows = run_slots(one, placement).rows;
    for (const size_t rank : {0U, 1U, 3U}) EXPECT_NEAR(static_cast<double>(rows[rank]), 20, 4);
    EXPECT_EQ(rows[2], 0);
  }
}

// Experts 5 and 6 take all tokens. By equal shares the rank with copies of both has more than the others;
// the program gives it no more.
TEST(ExpertSlotsOnRanks, TheProgramEvensOutTheLoadOfTheMoment) {
  ExpertCase two{.tokens = {40, 40, 40}};
  two.config.router.top_k = 2;
  two.config.router.n_group = two.config.router.topk_group = 1;
  two.route_bias = {0, 0, 0, 0, 0, 50, 50, 0};
  const SlotList on_ranks = {5, 0, 1, 2, 5, 6, 3, 4, 6, 7, 0, 1};
  two.how.copies = CopyChoice::kShares;
  const std::vector<int64_t> shared = run_slots(two, on_ranks).rows;
  EXPECT_NEAR(static_cast<double>(shared[1]), 120, 4);
  two.how.copies = CopyChoice::kProgram;
  for (const int64_t rows : run_slots(two, on_ranks).rows) {
    EXPECT_NEAR(static_cast<double>(rows), 80, 4);
  }
}

TEST(ExpertSlotsOnRanks, SlotsOfAnotherRankAreRefused) {
  const ExpertCase of{.tokens = {3, 3}};
  SlotRank wrong(of, {0, 1, 2, 3, 4, 5, 6, 7}, 1);
  expect_refused<ShapeError>(
      [&] {
        run_thread_ranks({.n_ranks = 2}, [&](Communicator& comm) {
          if (comm.rank() != 0) return;
          ExpertDispatcher dispatcher(comm, of.how);
          ExpertWalk walk(of, wrong, wrong.layer, 0, 1, 1);
          for (int n = 0; n < 2; ++n) walk.phase(n, dispatcher);
        });
      },
      "expert parallelism: rank 0 of 2 has slots 4 to 8, want the 0-th of equal ranges");
}

}  // namespace
}  // namespace hadal::test
