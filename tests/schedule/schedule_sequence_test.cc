// The order of computation of the six schedules against docs/schedules.md.
#include <gtest/gtest.h>

#include <string>

#include "hadal/core/error.h"
#include "hadal/schedule/action_text.h"
#include "hadal/schedule/schedule.h"
#include "tests/support/refusal.h"

namespace hadal {
namespace {

// "F0 F1 Bi1 W FB01 ...": the digit is the phase, as the spec writes it.
template <class PhaseOf>
std::string phases(const std::vector<Action>& actions, const PhaseOf& phase_of) {
  std::string text;
  for (const Action& action : actions) {
    const std::string phase = std::to_string(phase_of(action.chunk));
    switch (action.kind) {
      case ActionKind::kForward:
        text += "F" + phase + " ";
        break;
      case ActionKind::kBackward:
        text += "B" + phase + " ";
        break;
      case ActionKind::kBackwardInput:
        text += "Bi" + phase + " ";
        break;
      case ActionKind::kWeight:
        text += "W ";
        break;
      case ActionKind::kForwardBackward:
        text += "FB" + phase + std::to_string(phase_of(action.backward)) + " ";
        break;
      case ActionKind::kSend:
      case ActionKind::kReceive:
        break;
    }
  }
  return text;
}

std::string times(int n, const std::string& text) {
  std::string all;
  for (int i = 0; i < n; ++i) all += text;
  return all;
}

std::string computations(const std::vector<Action>& actions) {
  std::string text;
  for (const Action& action : actions) {
    if (!action.is_transfer()) text += to_text(action) + ", ";
  }
  return text;
}

// Direction 0 has the first half of the micro-batches; phase 0 is direction 0 in the first half of
// the ranks.
std::string dualpipe_phases(int32_t n_ranks, int32_t n_micro_batches, int32_t rank) {
  return phases(schedule_dualpipe(n_ranks, n_micro_batches, rank), [&](Chunk chunk) {
    const bool direction = chunk.micro_batch >= n_micro_batches / 2;
    return static_cast<int>(direction != (rank >= n_ranks / 2));
  });
}

TEST(DualPipe, EightRanksTwentyMicroBatchesAreTheSpecsSequences) {
  const std::string outer = times(7, "F0 ") + "F1 " + times(3, "Bi1 W F1 ") +
                            times(3, "FB01 FB10 ") + times(3, "B1 FB10 ") + "B1 Bi0 " +
                            times(3, "W Bi0 ") + "W ";
  const std::string middle = times(4, "F0 F1 ") + "F0 B1 FB10 " + times(5, "FB01 FB10 ") +
                             times(2, "B1 B0 ") + times(2, "Bi1 Bi0 ") + times(4, "W ");
  EXPECT_EQ(dualpipe_phases(8, 20, 0), outer);
  EXPECT_EQ(dualpipe_phases(8, 20, 7), outer);
  EXPECT_EQ(dualpipe_phases(8, 20, 3), middle);
  EXPECT_EQ(dualpipe_phases(8, 20, 4), middle);
}

// docs/schedules.md, "The eight steps of DualPipe", with numbers put in by hand for h = 1, H = 4, m = 10.
TEST(DualPipe, ARankBetweenEndAndMiddleFollowsTheTable) {
  const std::string expected = times(4, "F0 ") + times(2, "F0 F1 ") + times(2, "Bi1 W F1 ") +
                               times(4, "FB01 FB10 ") + times(2, "B1 FB10 ") +
                               "B1 B0 Bi1 Bi0 " +  // h odd: on from before B(1) at i = 1
                               times(2, "W Bi0 ") + times(2, "W ");
  EXPECT_EQ(dualpipe_phases(8, 20, 1), expected);
  EXPECT_EQ(dualpipe_phases(8, 20, 6), expected);
}

TEST(DualPipe, TwoRanksAreBothAtTheTurn) {
  EXPECT_EQ(dualpipe_phases(2, 4, 0), "F0 F1 F0 B1 FB10 B1 Bi0 W ");
}

TEST(DualPipe, RanksHoldTheirStageAndItsMirror) {
  const PipelineSchedule schedule = make_schedule(ScheduleKind::kDualPipe, 4, 8);
  EXPECT_EQ(schedule.held, (std::vector<std::vector<int32_t>>{{0, 3}, {1, 2}, {2, 1}, {3, 0}}));
  EXPECT_EQ(parameter_copies(schedule), 2.0);
  EXPECT_EQ(schedule.n_ranks, 4);
  EXPECT_EQ(schedule.name, "dualpipe");
}

// The same steps: h becomes r, H becomes P, m becomes M; P = 4, M = 10.
TEST(DualPipeV, FollowsTheTable) {
  const auto of_rank = [](int32_t rank) {
    return phases(schedule_dualpipev(8, 10, rank),
                  [](Chunk chunk) { return static_cast<int>(chunk.stage >= 4); });
  };
  EXPECT_EQ(of_rank(0), times(6, "F0 ") + "F0 F1 " + times(3, "Bi1 W F1 ") +
                            times(3, "FB01 FB10 ") + times(3, "B1 FB10 ") + "B1 Bi0 " +
                            times(3, "W Bi0 ") + "W ");
  EXPECT_EQ(of_rank(3), times(4, "F0 F1 ") + "F0 B1 FB10 " + times(5, "FB01 FB10 ") +
                            times(2, "B1 B0 ") + times(2, "Bi1 Bi0 ") + times(4, "W "));
}

TEST(DualPipeV, StoresNoParameterTwice) {
  const PipelineSchedule schedule = make_schedule(ScheduleKind::kDualPipeV, 6, 7);
  EXPECT_EQ(schedule.held, (std::vector<std::vector<int32_t>>{{0, 5}, {1, 4}, {2, 3}}));
  EXPECT_EQ(parameter_copies(schedule), 1.0);
  EXPECT_EQ(schedule.n_ranks, 3);
}

TEST(OneForwardOneBackward, WarmsUpAlternatesAndDrains) {
  EXPECT_EQ(computations(schedule_1f1b(3, 4, 0)),
            "F 0 0, F 0 1, F 0 2, B 0 0, F 0 3, B 0 1, B 0 2, B 0 3, ");
  EXPECT_EQ(computations(schedule_1f1b(3, 4, 2)),
            "F 2 0, B 2 0, F 2 1, B 2 1, F 2 2, B 2 2, F 2 3, B 2 3, ");
  EXPECT_EQ(computations(schedule_1f1b(5, 2, 0)), "F 0 0, F 0 1, B 0 0, B 0 1, ");  // M < P
}

TEST(ZeroBubble, KeepsOneWeightPartPerRankBeforeIt) {
  EXPECT_EQ(computations(schedule_zb1p(3, 4, 0)),
            "F 0 0, F 0 1, F 0 2, Bi 0 0, W 0 0, F 0 3, Bi 0 1, W 0 1, Bi 0 2, W 0 2, Bi 0 3, "
            "W 0 3, ");
  EXPECT_EQ(computations(schedule_zb1p(3, 4, 2)),
            "F 2 0, Bi 2 0, F 2 1, Bi 2 1, F 2 2, Bi 2 2, W 2 0, F 2 3, Bi 2 3, W 2 1, W 2 2, "
            "W 2 3, ");
}

// Two ranks of two stages; rank 0 holds 0 and 2, rank 1 holds 1 and 3.
TEST(Interleaved, GoesByGroupsAndPairsBehindTheWarmUp) {
  EXPECT_EQ(computations(interleaved_order(4, 2, 0, 2)),
            "F 0 0, F 0 1, F 2 0, F 2 1, Bi 2 0, W 2 0, Bi 2 1, W 2 1, Bi 0 0, W 0 0, Bi 0 1, "
            "W 0 1, ");
  EXPECT_EQ(computations(interleaved_order(4, 2, 1, 2)),
            "F 1 0, F 1 1, F 3 0, F&B 3 1 3 0, Bi 3 1, Bi 1 0, W 3 1, Bi 1 1, W 1 0, W 1 1, ");
  // Micro-batch 3 does not exist; who would run beside it runs alone.
  EXPECT_EQ(computations(interleaved_order(4, 3, 1, 2)),
            "F 1 0, F 1 1, F 3 0, F&B 3 1 3 0, F&B 1 2 3 1, Bi 1 0, F&B 3 2 1 1, Bi 3 2, W 1 0, "
            "Bi 1 2, W 3 2, W 1 2, ");
}

TEST(Interleaved, RanksHoldEveryPthStage) {
  const PipelineSchedule schedule = make_schedule(ScheduleKind::kInterleaved, 6, 4, 3);
  EXPECT_EQ(schedule.held, (std::vector<std::vector<int32_t>>{{0, 2, 4}, {1, 3, 5}}));
  EXPECT_EQ(parameter_copies(schedule), 1.0);
  EXPECT_EQ(schedule.name, "interleaved");
}

TEST(Zbv, FollowsItsSteps) {
  EXPECT_EQ(computations(zbv_order(4, 3, 0)),
            "F 0 0, F 0 1, F 0 2, F 3 0, Bi 3 0, W 3 0, F 3 1, Bi 3 1, W 3 1, Bi 0 0, W 0 0, "
            "F 3 2, Bi 3 2, W 3 2, Bi 0 1, W 0 1, Bi 0 2, W 0 2, ");
  EXPECT_EQ(computations(zbv_order(4, 3, 1)),
            "F 1 0, F 2 0, F 1 1, F 2 1, Bi 2 0, W 2 0, F 1 2, Bi 1 0, W 1 0, F 2 2, Bi 2 1, "
            "W 2 1, Bi 1 1, Bi 2 2, Bi 1 2, W 1 1, W 2 2, W 1 2, ");
  EXPECT_EQ(computations(zbv_order(4, 1, 0)), "F 0 0, F 3 0, Bi 3 0, W 3 0, Bi 0 0, W 0 0, ");
}

// The rules about transfers in docs/schedules.md, on the smallest rank that has all of them.
TEST(DualPipe, TransfersStandWhereTheRulesSay) {
  std::string text;
  const std::vector<Action> actions = schedule_dualpipe(4, 8, 0);
  for (size_t i = 0; i < 14; ++i) text += to_text(actions[i]) + ", ";
  EXPECT_EQ(text,
            "F 0 0, send a 0 0 -> 1, F 0 1, send a 0 1 -> 1, "          // step 1
            "F 0 2, recv a 2 4 <- 1, F 3 4, send a 0 2 -> 1, "          // 2: F(0) leaves last
            "Bi 3 4, send g 3 4 -> 1, recv a 2 5 <- 1, W 3 4, F 3 5, "  // 3: receive before W
            "F&B 0 3 3 5, ");                                           // 4
  text.clear();
  const std::vector<Action> middle = schedule_dualpipe(4, 8, 1);
  for (size_t i = 0; i < 18; ++i) text += to_text(middle[i]) + ", ";
  EXPECT_EQ(text,
            "recv a 0 0 <- 0, F 1 0, send a 1 0 -> 2, recv a 0 1 <- 0, recv a 1 4 <- 2, F 2 4, "
            "send a 2 4 -> 0, F 1 1, send a 1 1 -> 2, recv a 0 2 <- 0, recv a 1 5 <- 2, F 2 5, "
            "F 1 2, send a 2 5 -> 0, recv g 3 4 <- 0, B 2 4, send a 1 2 -> 2, send g 2 4 -> 2, ");
}

TEST(Schedules, NamesAreRead) {
  EXPECT_EQ(parse_schedule_kind("1f1b"), ScheduleKind::k1F1B);
  EXPECT_EQ(parse_schedule_kind("zb1p"), ScheduleKind::kZb1p);
  EXPECT_EQ(parse_schedule_kind("dualpipe"), ScheduleKind::kDualPipe);
  EXPECT_EQ(parse_schedule_kind("dualpipev"), ScheduleKind::kDualPipeV);
  EXPECT_EQ(parse_schedule_kind("interleaved"), ScheduleKind::kInterleaved);
  EXPECT_EQ(parse_schedule_kind("zbv"), ScheduleKind::kZbv);
  try {
    parse_schedule_kind("dualpip");
    FAIL() << "an unknown name was accepted";
  } catch (const ConfigError& error) {
    EXPECT_STREQ(error.what(),
                 "schedule: unknown schedule (found \"dualpip\", expected 1f1b, zb1p, dualpipe, "
                 "dualpipev, interleaved or zbv); did you mean dualpipe?");
  }
}

struct Illegal {
  ScheduleKind kind;
  int32_t n_stages, n_micro_batches;
  const char* message;  // its beginning
};

TEST(Schedules, IllegalSizesNameTheSizeToChange) {
  const Illegal cases[] = {
      {ScheduleKind::k1F1B, 0, 4, "n_stages: a pipeline needs a stage (found 0, expected 1"},
      {ScheduleKind::k1F1B, -3, 4, "n_stages: a pipeline needs a stage (found -3, expected 1"},
      {ScheduleKind::kZb1p, 4, 0, "n_micro_batches: nothing to compute (found 0, expected 1"},
      {ScheduleKind::kDualPipe, 7, 14,
       "n_stages: dualpipe pairs the stages (found 7, expected an even number)"},
      {ScheduleKind::kDualPipe, 8, 17,
       "n_micro_batches: dualpipe feeds half of them at each end (found 17, expected an even"},
      {ScheduleKind::kDualPipe, 8, 14,
       "n_micro_batches: too few to fill dualpipe with 8 stages (found 14, expected 16 or more)"},
      {ScheduleKind::kDualPipeV, 5, 14,
       "n_stages: dualpipev pairs the stages (found 5, expected an even number)"},
      {ScheduleKind::kDualPipeV, 8, 7,
       "n_micro_batches: too few to fill dualpipev with 8 stages (found 7, expected 8 or more)"},
      {ScheduleKind::k1F1B, 8, 2'000'000'000,
       "n_micro_batches: the schedule is too long (found 8 stages x 2000000000 micro-batches"},
      {ScheduleKind::kDualPipe, 2'000'000'000, 2'000'000'000,
       "n_micro_batches: the schedule is too long (found 2000000000 stages"},
      {ScheduleKind::kInterleaved, 7, 8,
       "stages_per_rank: the stages do not divide into ranks (found 2 of 7 stages on each rank, "
       "expected a divisor of 7)"},
      {ScheduleKind::kInterleaved, 40'000, 1,
       "n_micro_batches: the schedule is too long (found 40000 stages x 20000 micro-batches"},
      {ScheduleKind::kInterleaved, 2'000'000'000, 2'000'000'000,
       "n_micro_batches: the schedule is too long (found 2000000000 stages"},
      {ScheduleKind::kZbv, 7, 14,
       "n_stages: zbv pairs the stages (found 7, expected an even number)"},
      {ScheduleKind::kZbv, 40'000, 1,
       "n_micro_batches: the schedule is too long (found 40000 stages x 39999 micro-batches"},
      {ScheduleKind::kZb1p, 40'000, 1,
       "n_stages: too many ranks (found 40000, expected at most 32767)"},
  };
  for (const Illegal& illegal : cases) {
    try {
      make_schedule(illegal.kind, illegal.n_stages, illegal.n_micro_batches);
      ADD_FAILURE() << "accepted: " << illegal.message;
    } catch (const ConfigError& error) {
      EXPECT_EQ(std::string(error.what()).rfind(illegal.message, 0), 0U) << error.what();
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    }
  }
}

TEST(Schedules, ARankThatDoesNotExistIsRefused) {
  const auto expect_no_rank = [](auto schedule, int32_t rank, int last) {
    test::expect_refused<ConfigError>(
        [&] { schedule(4, 8, rank); },
        concat("rank: no such rank (found ", rank, ", expected 0 to ", last, ")"));
  };
  expect_no_rank(schedule_1f1b, 4, 3);
  expect_no_rank(schedule_zb1p, -1, 3);
  expect_no_rank(schedule_dualpipe, 4, 3);
  expect_no_rank(schedule_dualpipev, 2, 1);  // four stages are two ranks
  expect_no_rank(zbv_order, -1, 1);
  expect_no_rank(
      [](int32_t n, int32_t m, int32_t rank) { return interleaved_order(n, m, rank, 4); }, 1, 0);
}

}  // namespace
}  // namespace hadal
