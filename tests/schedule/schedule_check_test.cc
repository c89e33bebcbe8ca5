// The six schedules through the checker at all legal sizes to 16 stages, and their facts against
// what follows from docs/schedules.md by counting.
#include "hadal/schedule/schedule_check.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace hadal {
namespace {

int64_t peak(const ScheduleCheck& check) {
  int64_t most = 0;
  for (const RankFacts& rank : check.ranks) most = std::max(most, rank.peak_activations);
  return most;
}

int64_t peak_stored(const ScheduleCheck& check) {
  int64_t most = 0;
  for (const RankFacts& rank : check.ranks) most = std::max(most, rank.peak_stored);
  return most;
}

struct Kind {
  ScheduleKind kind;
  int32_t stages_per_rank;  // of interleaved
};
class EverySize : public testing::TestWithParam<Kind> {
 protected:
  // Stages go up by this number.
  int32_t step() const {
    switch (GetParam().kind) {
      case ScheduleKind::k1F1B:
      case ScheduleKind::kZb1p:
        return 1;
      case ScheduleKind::kInterleaved:
        return GetParam().stages_per_rank;
      default:
        return 2;
    }
  }
};

// From the least legal number of micro-batches to 2P + 10, under the published bound.
TEST_P(EverySize, IsProven) {
  const auto [kind, per_rank] = GetParam();
  const bool dual = kind == ScheduleKind::kDualPipe;
  for (int32_t n_stages = step(); n_stages <= 16; n_stages += step()) {
    const int32_t least = dual ? 2 * n_stages : kind == ScheduleKind::kDualPipeV ? n_stages : 1;
    const int64_t bound = activation_bound(kind, n_stages, per_rank);
    for (int32_t m = least; m <= 2 * n_stages + 10; m += dual ? 2 : 1) {
      const ScheduleCheck check = check_schedule(make_schedule(kind, n_stages, m, per_rank), bound);
      ASSERT_TRUE(check.ok()) << n_stages << " stages, " << m
                              << " micro-batches: " << check.violations.front();
      ASSERT_LE(peak_stored(check), bound) << n_stages << ", " << m;
      // The bound is not only kept but reached, where there are enough micro-batches to fill it.
      if (m >= bound) {
        ASSERT_EQ(peak(check), bound) << n_stages << ", " << m;
      }
    }
  }
}

TEST_P(EverySize, ChunksAreComputedOnTheirHomeRank) {
  const auto [kind, per_rank] = GetParam();
  const int32_t n_stages = 4 * step(), m = 2 * n_stages + 2;
  const PipelineSchedule schedule = make_schedule(kind, n_stages, m, per_rank);
  EXPECT_EQ(schedule.n_ranks * stages_passed(kind, per_rank), n_stages);
  for (int32_t rank = 0; rank < schedule.n_ranks; ++rank) {
    for (const Action& action : schedule.ranks[static_cast<size_t>(rank)]) {
      if (action.is_transfer()) continue;
      for (const Chunk chunk : {action.chunk, action.backward_chunk()}) {
        EXPECT_EQ(home_rank(kind, n_stages, m, chunk, per_rank), rank);
      }
    }
  }
}

std::string name_of(const testing::TestParamInfo<Kind>& test) {
  const auto [kind, per_rank] = test.param;
  return "S" + schedule_names()[static_cast<size_t>(kind)] +
         (per_rank > 0 ? std::to_string(per_rank) : "");
}

INSTANTIATE_TEST_SUITE_P(
    Schedules, EverySize,
    testing::Values(Kind{ScheduleKind::k1F1B, 0}, Kind{ScheduleKind::kZb1p, 0},
                    Kind{ScheduleKind::kDualPipe, 0}, Kind{ScheduleKind::kDualPipeV, 0},
                    Kind{ScheduleKind::kInterleaved, 1}, Kind{ScheduleKind::kInterleaved, 2},
                    Kind{ScheduleKind::kInterleaved, 3}, Kind{ScheduleKind::kInterleaved, 4},
                    Kind{ScheduleKind::kZbv, 0}),
    name_of);

TEST(LargeSchedule, IsProven) {
  const PipelineSchedule schedule = make_schedule(ScheduleKind::kDualPipe, 64, 4096);
  const ScheduleCheck check = check_schedule(schedule, 65);
  EXPECT_TRUE(check.ok()) << check.violations.front();
  EXPECT_EQ(peak(check), 65);
  EXPECT_EQ(check.ranks[20].n_forward, 4096);
}

// Last column of the table in docs/pipeline.md, "What the simulator assumes".
TEST(ScheduleFacts, DualPipeStoresThePublishedActivations) {
  const int32_t rows[][3] = {{2, 4, 3},  {4, 8, 5},    {4, 10, 5},  {8, 16, 9},
                             {8, 20, 9}, {16, 32, 17}, {16, 60, 17}};
  for (const auto& [n_stages, m, expected] : rows) {
    const ScheduleCheck check = check_schedule(make_schedule(ScheduleKind::kDualPipe, n_stages, m));
    EXPECT_TRUE(check.ok());
    EXPECT_EQ(peak(check), expected) << n_stages << ", " << m;
  }
}

// Section 4: P = 4, M = 10 stores 9 chunks; P = 8, M = 20 stores 17.
TEST(ScheduleFacts, DualPipeVStoresThePublishedActivations) {
  EXPECT_EQ(peak(check_schedule(make_schedule(ScheduleKind::kDualPipeV, 8, 10))), 9);
  EXPECT_EQ(peak(check_schedule(make_schedule(ScheduleKind::kDualPipeV, 16, 20))), 17);
}

// 1F1B: rank r has P - r chunks in flight. ZB1P keeps r weight parts besides, P in all.
TEST(ScheduleFacts, ZeroBubbleNeedsTheMemoryOf1F1B) {
  const ScheduleCheck plain = check_schedule(make_schedule(ScheduleKind::k1F1B, 8, 20));
  const ScheduleCheck split = check_schedule(make_schedule(ScheduleKind::kZb1p, 8, 20));
  for (size_t r = 0; r < 8; ++r) {
    EXPECT_EQ(plain.ranks[r].peak_activations, static_cast<int64_t>(8 - r));
    EXPECT_EQ(plain.ranks[r].peak_weight_queue, 0);
    EXPECT_EQ(split.ranks[r].peak_activations, static_cast<int64_t>(8 - r));
    EXPECT_EQ(split.ranks[r].peak_weight_queue, static_cast<int64_t>(r + 1));
    EXPECT_EQ(split.ranks[r].peak_stored, 8);
  }
}

// Column "repeat" of the table: pairs are 2(m-P+h+1) of step 4, one less at the turn, and H-h-1 of
// step 5; W are H-h-1 of step 3, H-h-1 of step 7 and h+1 of step 8.
TEST(ScheduleFacts, DualPipeCountsFollowTheTable) {
  const ScheduleCheck check = check_schedule(make_schedule(ScheduleKind::kDualPipe, 8, 20));
  const int64_t H = 4, m = 10, P = 8;
  for (int64_t r = 0; r < P; ++r) {
    const RankFacts& facts = check.ranks[static_cast<size_t>(r)];
    const int64_t h = std::min(r, P - 1 - r);
    EXPECT_EQ(facts.n_forward, 2 * m);
    EXPECT_EQ(facts.n_backward, 2 * m);
    EXPECT_EQ(facts.n_pairs, 2 * (m - P + h + 1) - (h == H - 1) + H - h - 1);
    EXPECT_EQ(facts.n_weight, 2 * (H - h - 1) + h + 1);
    // Ends: one neighbour, an activation and a gradient per micro-batch. Inside: two neighbours.
    EXPECT_EQ(facts.n_sends, h == 0 ? 2 * m : 4 * m);
    EXPECT_EQ(facts.n_receives, facts.n_sends);
  }
}

// Four ranks of three stages: rank r warms up with (3-1)4 + 2(3-r) + 1 forwards. From then on every
// forward has a backward beside it; what is left at the end is split.
TEST(ScheduleFacts, InterleavedPairsEveryForwardBehindTheWarmUp) {
  const ScheduleCheck check = check_schedule(make_schedule(ScheduleKind::kInterleaved, 12, 16, 3));
  for (int64_t r = 0; r < 4; ++r) {
    const RankFacts& facts = check.ranks[static_cast<size_t>(r)];
    const int64_t warm_up = 8 + 2 * (3 - r) + 1;
    EXPECT_EQ(facts.n_pairs, 48 - warm_up);
    EXPECT_EQ(facts.n_weight, warm_up);
    EXPECT_EQ(facts.peak_activations, warm_up + 1);
    EXPECT_EQ(facts.peak_weight_queue, r + 1);
  }
}

// Rank P-1 of DualPipeV hands its phase 0 to its own phase 1: no transfer between the two.
TEST(ScheduleFacts, DualPipeVTurnsWithoutATransfer) {
  const ScheduleCheck check = check_schedule(make_schedule(ScheduleKind::kDualPipeV, 4, 6));
  ASSERT_TRUE(check.ok());
  EXPECT_EQ(check.ranks[0].n_sends, 12);  // activations of stage 0, gradients of stage 3
  EXPECT_EQ(check.ranks[1].n_sends, 12);  // activations of stage 2, gradients of stage 1
  EXPECT_EQ(check_schedule(make_schedule(ScheduleKind::kDualPipeV, 2, 5)).ranks[0].n_sends, 0);
}

}  // namespace
}  // namespace hadal
