// The checker finds faults: each test breaks a right schedule in one way and expects the sentence
// that names rank, action and chunk.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "hadal/schedule/action_text.h"
#include "hadal/schedule/schedule_check.h"
#include "hadal/schedule/schedule_file.h"
#include "hadal/schedule/schedule_transfers.h"

namespace hadal {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

// A schedule with one list to break.
struct Broken {
  PipelineSchedule schedule;
  std::vector<Action>& list(size_t rank) { return schedule.ranks[rank]; }
  std::ptrdiff_t find(size_t rank, const char* text) {
    const auto& actions = list(rank);
    const auto found = std::find(actions.begin(), actions.end(), parse_action(text));
    EXPECT_NE(found, actions.end()) << "the test's schedule has no " << text;
    return found - actions.begin();
  }
  void swap(size_t rank, const char* a, const char* b) {
    std::swap(list(rank)[static_cast<size_t>(find(rank, a))],
              list(rank)[static_cast<size_t>(find(rank, b))]);
  }
  void drop(size_t rank, const char* text) {
    list(rank).erase(list(rank).begin() + find(rank, text));
  }
  void replace(size_t rank, const char* text, const char* by) {
    list(rank)[static_cast<size_t>(find(rank, text))] = parse_action(by);
  }
  void insert_before(size_t rank, const char* text, const char* added) {
    list(rank).insert(list(rank).begin() + find(rank, text), parse_action(added));
  }
  std::vector<std::string> violations() const { return check_schedule(schedule).violations; }
};

Broken one_f_one_b() { return {make_schedule(ScheduleKind::k1F1B, 3, 4)}; }
Broken zero_bubble() { return {make_schedule(ScheduleKind::kZb1p, 3, 4)}; }
Broken dualpipe() { return {make_schedule(ScheduleKind::kDualPipe, 4, 8)}; }
Broken dualpipev() { return {make_schedule(ScheduleKind::kDualPipeV, 4, 6)}; }

TEST(Mutation, BackwardBeforeItsForward) {
  Broken b = one_f_one_b();
  b.swap(2, "F 2 0", "B 2 0");  // the last rank: nothing but the loss is between them
  EXPECT_THAT(b.violations(), Contains("rank 2, action 1 (B 2 0): runs before F 2 0 on this rank"));
}

TEST(Mutation, PairWhoseBackwardIsItsOwnForward) {
  Broken b = dualpipe();
  b.replace(0, "F&B 0 3 3 5", "F&B 0 3 0 3");
  EXPECT_THAT(b.violations(), Contains(HasSubstr("(F&B 0 3 0 3): runs before F 0 3")));
}

TEST(Mutation, ComputationBeforeItsReceive) {
  Broken b = one_f_one_b();
  b.swap(1, "recv a 0 0 <- 0", "F 1 0");
  EXPECT_THAT(b.violations(),
              ElementsAre("rank 1, action 0 (F 1 0): needs the activation of stage 0, micro-batch "
                          "0, not received from rank 0 before it"));
}

TEST(Mutation, SameRankInputComesTooLate) {
  Broken b = dualpipev();  // rank 1 hands stage 1 to its own stage 2
  b.swap(1, "F 1 0", "F 2 0");
  EXPECT_THAT(b.violations(), Contains("rank 1, action 1 (F 2 0): needs the activation of stage "
                                       "1, micro-batch 0, which this rank computes only later"));
}

TEST(Mutation, SendBeforeItsComputation) {
  Broken b = one_f_one_b();
  b.swap(0, "F 0 0", "send a 0 0 -> 1");
  EXPECT_THAT(b.violations(),
              Contains("rank 0, action 0 (send a 0 0 -> 1): this rank has not computed the "
                       "activation of stage 0, micro-batch 0 before it"));
}

TEST(Mutation, WeightBeforeItsBackward) {
  Broken b = zero_bubble();
  b.swap(0, "Bi 0 0", "W 0 0");
  EXPECT_THAT(b.violations(), Contains(HasSubstr("(W 0 0): no Bi of this chunk before it")));
}

TEST(Mutation, WeightOfAFullBackward) {
  Broken b = one_f_one_b();
  b.list(0).push_back(parse_action("W 0 3"));
  EXPECT_THAT(b.violations(), ElementsAre(HasSubstr("(W 0 3): this weight part was computed")));
}

TEST(Mutation, WeightPartsOutOfTurn) {
  Broken b = zero_bubble();
  b.swap(2, "W 2 1", "W 2 2");
  EXPECT_THAT(b.violations(), ElementsAre(HasSubstr("(W 2 2): out of turn; the front of the weight "
                                                    "queue is W 2 1")));
}

TEST(Mutation, DroppedWeight) {
  Broken b = zero_bubble();
  b.drop(2, "W 2 3");
  EXPECT_THAT(b.violations(), ElementsAre("rank 2: the weight queue is not empty at the end: 1 "
                                          "parts are left, the first is W 2 3"));
}

TEST(Mutation, DroppedWeightInTheMiddle) {
  Broken b = zero_bubble();
  b.drop(2, "W 2 1");
  EXPECT_THAT(b.violations(), ElementsAre(HasSubstr("(W 2 2): out of turn"),
                                          HasSubstr("1 parts are left, the first is W 2 1")));
}

TEST(Mutation, MissingChunks) {
  Broken b = one_f_one_b();
  b.drop(2, "F 2 3");
  b.drop(0, "B 0 3");
  EXPECT_THAT(b.violations(), Contains("no rank computes F 2 3"));
  EXPECT_THAT(b.violations(), Contains("no rank computes B or Bi 0 3"));
}

TEST(Mutation, ChunkComputedTwice) {
  Broken b = one_f_one_b();
  b.insert_before(0, "F 0 2", "F 0 1");
  EXPECT_THAT(b.violations(), Contains("rank 0, action 4 (F 0 1): computed a second time; F 0 1 "
                                       "ran before on rank 0"));
  Broken c = one_f_one_b();
  c.list(2).push_back(parse_action("B 2 3"));
  EXPECT_THAT(c.violations(), Contains(HasSubstr("the backward of 2 3 ran before on rank 2")));
}

TEST(Mutation, StageThatTheRankDoesNotHold) {
  Broken b = one_f_one_b();
  b.schedule.held[1] = {2};
  EXPECT_THAT(b.violations(),
              Contains("rank 1, action 1 (F 1 0): this rank does not hold stage 1"));
}

TEST(Mutation, BackwardOnAnotherRankThanItsForward) {
  Broken b = dualpipe();  // ranks 0 and 3 both hold stage 0
  b.replace(0, "Bi 0 3", "Bi 0 7");
  EXPECT_THAT(b.violations(),
              Contains(HasSubstr("(Bi 0 7): the activations of F 0 7 are on rank 3")));
}

TEST(Mutation, DroppedSend) {
  Broken b = one_f_one_b();
  b.drop(0, "send a 0 1 -> 1");
  EXPECT_THAT(b.violations(), ElementsAre("rank 0 never sends the activation of stage 0, "
                                          "micro-batch 1 to rank 1"));
}

TEST(Mutation, DroppedReceive) {
  Broken b = one_f_one_b();
  b.drop(0, "recv g 1 2 <- 1");
  EXPECT_THAT(b.violations(), ElementsAre(HasSubstr("(B 0 2): needs the gradient of stage 1"),
                                          "rank 0 never receives the gradient of stage 1, "
                                          "micro-batch 2 from rank 1"));
}

TEST(Mutation, DuplicatedTransfers) {
  Broken b = one_f_one_b();
  b.insert_before(0, "F 0 2", "send a 0 1 -> 1");
  EXPECT_THAT(b.violations(),
              ElementsAre("rank 0, action 4 (send a 0 1 -> 1): sent a second time"));
  Broken c = one_f_one_b();
  c.insert_before(1, "F 1 1", "recv a 0 1 <- 0");
  EXPECT_THAT(c.violations(), ElementsAre(HasSubstr("(recv a 0 1 <- 0): received a second time")));
}

TEST(Mutation, SuperfluousTransfers) {
  Broken b = one_f_one_b();
  b.list(2).push_back(parse_action("send a 2 0 -> 1"));  // the output of the last stage
  b.list(1).push_back(parse_action("recv a 2 0 <- 2"));
  EXPECT_THAT(b.violations(),
              ElementsAre(HasSubstr("(recv a 2 0 <- 2): superfluous: nothing on this"),
                          HasSubstr("(send a 2 0 -> 1): superfluous: no stage")));
  Broken v = dualpipev();
  v.list(1).push_back(parse_action("send a 1 0 -> 0"));
  v.list(1).push_back(parse_action("recv a 1 0 <- 0"));
  EXPECT_THAT(v.violations(),
              ElementsAre(HasSubstr("superfluous: it is needed on this rank itself"),
                          HasSubstr("superfluous: it is computed on this rank itself")));
}

TEST(Mutation, WrongPeer) {
  Broken b = one_f_one_b();
  b.replace(0, "send a 0 1 -> 1", "send a 0 1 -> 2");
  EXPECT_THAT(b.violations(), Contains("rank 0, action 3 (send a 0 1 -> 2): wrong rank; rank 1 "
                                       "needs it"));
  Broken c = one_f_one_b();
  c.replace(2, "recv a 1 0 <- 1", "recv a 1 0 <- 0");
  EXPECT_THAT(c.violations(),
              Contains(HasSubstr("(recv a 1 0 <- 0): wrong rank; rank 1 computes")));
}

TEST(Mutation, SwappedReceives) {
  Broken b = dualpipe();  // rank 1 receives an activation and a gradient of rank 0 in one batch
  b.swap(1, "recv a 0 3 <- 0", "recv g 3 5 <- 0");
  EXPECT_THAT(b.violations(),
              ElementsAre(HasSubstr("(recv g 3 5 <- 0): receive number 4 from rank 0, which sends "
                                    "this as number 5 to rank 1"),
                          HasSubstr("(recv a 0 3 <- 0): receive number 5 from rank 0")));
}

TEST(Mutation, SwappedSends) {
  Broken b = dualpipe();
  b.swap(0, "send a 0 3 -> 1", "send g 3 5 -> 1");
  EXPECT_THAT(b.violations(), ElementsAre(HasSubstr("rank 1, action 23"), HasSubstr("rank 1")));
}

// Each rank first takes the micro-batch that the other one starts: nobody can begin.
TEST(Deadlock, CircleOfInputsIsSaidInWords) {
  const PipelineSchedule schedule = parse_schedule(
      R"({"n_stages": 2, "n_micro_batches": 2,
          "ranks": [["F 1 1", "F 0 0", "B 1 1", "B 0 0"], ["F 1 0", "F 0 1", "B 1 0", "B 0 1"]]})",
      "circle.json");
  EXPECT_THAT(check_schedule(schedule).violations,
              ElementsAre("deadlock even with asynchronous transfers: rank 0 at action 1 (F 1 1) "
                          "waits for rank 1, rank 1 at action 1 (F 1 0) waits for rank 0"));
  EXPECT_EQ(check_schedule(schedule).deadlock, Transfers::kAsynchronous);
}

// Rank 0 wants the gradient before it sends, rank 1 the activation: with buffers both go on, as
// rank 1 needs the activation only later; without, each waits for the other's batch.
TEST(Deadlock, BlockedTransfersAreSaidInWords) {
  const char* first = R"({"n_stages": 2, "n_micro_batches": 2, "ranks": [
      ["F 0 0", "send a 0 0 -> 1", "F 0 1", "recv g 1 0 <- 1", "B 0 0", "send a 0 1 -> 1",
       "recv g 1 1 <- 1", "B 0 1"],
      ["recv a 0 0 <- 0", "F 1 0", )";
  const char* last = R"( "F 1 1", "B 1 1", "send g 1 1 -> 0"]]})";
  const auto check = [&](const std::string& middle) {
    return check_schedule(parse_schedule(first + middle + last, "blocked.json")).violations;
  };
  EXPECT_THAT(check(R"("recv a 0 1 <- 0", "B 1 0", "send g 1 0 -> 0",)"),
              ElementsAre("deadlock when transfers block until both sides have posted them: rank 0 "
                          "at action 3 (recv g 1 0 <- 1) waits for rank 1, rank 1 at action 2 "
                          "(recv a 0 1 <- 0) waits for rank 0"));
  // Posted after the send, in its own batch or the same.
  EXPECT_THAT(check(R"("B 1 0", "send g 1 0 -> 0", "recv a 0 1 <- 0",)"), ElementsAre());
}

// docs/schedules.md: the end rank posts its receive before W, and the rank at the turn keeps the
// last output of step 2 back for the batch that takes the gradient. With neither, both wait with a
// send for the other; with one of the two, they go on.
TEST(Deadlock, DualPipeNeedsItsCommunicationRules) {
  const auto late_receive = [](Broken& b) {
    b.drop(0, "recv a 2 5 <- 1");
    b.insert_before(0, "F 3 5", "recv a 2 5 <- 1");
  };
  const auto early_send = [](Broken& b) {
    b.drop(1, "send a 2 5 -> 0");
    b.insert_before(1, "F 1 2", "send a 2 5 -> 0");
  };
  Broken one = dualpipe(), other = dualpipe(), both = dualpipe();
  late_receive(one);
  EXPECT_THAT(one.violations(), ElementsAre());
  early_send(other);
  EXPECT_THAT(other.violations(), ElementsAre());
  late_receive(both);
  early_send(both);
  EXPECT_THAT(both.violations(),
              ElementsAre("deadlock when transfers block until both sides have posted them: rank 0 "
                          "at action 9 (send g 3 4 -> 1) waits for rank 1, rank 1 at action 12 "
                          "(send a 2 5 -> 0) waits for rank 0"));
}

TEST(Deadlock, LongCirclesAreCutShort) {
  PipelineSchedule schedule;
  schedule.n_ranks = schedule.n_stages = schedule.n_micro_batches = 9;
  // Rank r begins with stage 1 of micro-batch r, whose stage 0 is rank r+1's second computation.
  for (int32_t r = 0; r < 9; ++r) {
    const int32_t other = (r + 8) % 9;
    std::vector<Action> list = {{.kind = ActionKind::kForward, .chunk = {1, r}},
                                {.kind = ActionKind::kForward, .chunk = {0, other}}};
    for (int32_t stage = 2; stage < 9; ++stage) {
      list.push_back({.kind = ActionKind::kForward, .chunk = {stage, r}});
    }
    for (int32_t stage = 8; stage > 0; --stage) {
      list.push_back({.kind = ActionKind::kBackward, .chunk = {stage, r}});
    }
    list.push_back({.kind = ActionKind::kBackward, .chunk = {0, other}});
    schedule.ranks.push_back(list);
    schedule.held.push_back({0, 1, 2, 3, 4, 5, 6, 7, 8});
  }
  insert_transfers(schedule);
  EXPECT_THAT(check_schedule(schedule).violations,
              ElementsAre(HasSubstr("and so on through 9 ranks back to rank 0")));
}

TEST(Bound, IsComparedWithThePeak) {
  const PipelineSchedule schedule = make_schedule(ScheduleKind::k1F1B, 3, 4);
  EXPECT_TRUE(check_schedule(schedule, 3).ok());
  EXPECT_THAT(check_schedule(schedule, 1).violations,
              ElementsAre("rank 0 stores the activations of 3 chunks at once; the bound is 1",
                          "rank 1 stores the activations of 2 chunks at once; the bound is 1"));
}

TEST(Extents, AreCheckedBeforeAnythingElse) {
  PipelineSchedule schedule = make_schedule(ScheduleKind::k1F1B, 3, 4);
  schedule.n_ranks = 4;
  EXPECT_THAT(check_schedule(schedule).violations,
              ElementsAre(HasSubstr("says 4 ranks, but has 3")));
  schedule = make_schedule(ScheduleKind::k1F1B, 3, 4);
  schedule.n_micro_batches = 2'000'000'000;
  EXPECT_THAT(check_schedule(schedule).violations,
              ElementsAre(HasSubstr("at most 10000000 chunks")));
  schedule = make_schedule(ScheduleKind::k1F1B, 3, 4);
  schedule.ranks[1][0].peer = 3;
  schedule.ranks[2][1].chunk.stage = -1;
  schedule.held[0] = {0, 0, 5};
  EXPECT_THAT(check_schedule(schedule).violations,
              ElementsAre(HasSubstr("rank 0 holds stage 5, which does not exist"),
                          HasSubstr("rank 0 holds a stage twice"),
                          HasSubstr("(recv a 0 0 <- 3): no such rank"),
                          HasSubstr("rank 2, action 1 (F -1 0): no such chunk")));
}

TEST(Violations, AreCountedBeyondThoseThatAreWritten) {
  PipelineSchedule schedule = make_schedule(ScheduleKind::k1F1B, 8, 20);
  for (auto& list : schedule.ranks) list.clear();
  const ScheduleCheck check = check_schedule(schedule);
  EXPECT_EQ(check.violations.size(), kMaxViolations);
  EXPECT_EQ(check.n_violations, 2 * 8 * 20);  // F and B of every chunk
}

}  // namespace
}  // namespace hadal
