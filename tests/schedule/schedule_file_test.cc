#include "hadal/schedule/schedule_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "hadal/core/error.h"
#include "hadal/core/json.h"
#include "hadal/schedule/action_text.h"
#include "hadal/schedule/schedule_check.h"
#include "hadal/schedule/schedule_transfers.h"
#include "tests/support/refusal.h"

namespace hadal {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// The message of the one line that a user sees.
std::string refusal(const std::string& text) {
  try {
    parse_schedule(text, "mine.json");
  } catch (const FormatError& error) {
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "accepted: " << text;
  return "";
}

constexpr const char* kTwoRanks = R"({
  "n_stages": 2, "n_micro_batches": 2,
  "ranks": [["F 0 0", "F 0 1", "B 0 0", "B 0 1"],
            ["F 1 0", "B 1 0", "F 1 1", "B 1 1"]]})";

TEST(ScheduleFile, TransfersAndHeldStagesMayBeLeftOut) {
  const PipelineSchedule schedule = parse_schedule(kTwoRanks, "mine.json");
  PipelineSchedule expected = make_schedule(ScheduleKind::k1F1B, 2, 2);
  EXPECT_EQ(schedule.ranks, expected.ranks);
  EXPECT_EQ(schedule.held, expected.held);
  EXPECT_EQ(schedule.name, "schedule");
  EXPECT_EQ(schedule.n_ranks, 2);
  EXPECT_TRUE(check_schedule(schedule).ok());
}

TEST(ScheduleFile, OneTransferMeansThatAllAreListed) {
  std::string text = kTwoRanks;
  text.insert(text.find("\"F 0 1\""), "\"send a 0 0 -> 1\", ");
  const ScheduleCheck check = check_schedule(parse_schedule(text, "mine.json"));
  EXPECT_GT(check.n_violations, 1);  // the others are missing
}

TEST(ScheduleFile, WritesWhatItReads) {
  for (const std::string& name : schedule_names()) {
    const PipelineSchedule schedule = make_schedule(parse_schedule_kind(name), 4, 8);
    const std::string text = schedule_text(schedule);
    const PipelineSchedule back = parse_schedule(text, name);
    EXPECT_EQ(back.name, schedule.name);
    EXPECT_EQ(back.n_ranks, schedule.n_ranks);
    EXPECT_EQ(back.n_stages, schedule.n_stages);
    EXPECT_EQ(back.n_micro_batches, schedule.n_micro_batches);
    EXPECT_EQ(back.held, schedule.held);
    EXPECT_EQ(back.ranks, schedule.ranks);
    EXPECT_EQ(schedule_text(back), text);
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 100U) << line;
  }
}

TEST(ScheduleFile, ANameWithQuotesSurvives) {
  PipelineSchedule schedule = make_schedule(ScheduleKind::k1F1B, 1, 1);
  schedule.name = "my \"best\" \\ schedule\n";
  EXPECT_EQ(parse_schedule(schedule_text(schedule), "x").name, schedule.name);
}

// The example of docs/schedules.md: GPipe stores all of its micro-batches.
TEST(ScheduleFile, TheExampleOfTheDocumentationIsRight) {
  const std::string page = read_text_file(HADAL_GOLDEN_DIR "/../../docs/schedules.md");
  const size_t begin = page.find("```json") + 7;
  const PipelineSchedule schedule =
      parse_schedule(page.substr(begin, page.find("```", begin) - begin), "docs/schedules.md");
  const ScheduleCheck check = check_schedule(schedule, 4);
  EXPECT_TRUE(check.ok());
  EXPECT_EQ(check.ranks[0].peak_activations, 4);
  EXPECT_FALSE(check_schedule(schedule, 3).ok());
}

TEST(ScheduleFile, IsReadFromDisk) {
  const std::string path = testing::TempDir() + "schedule_file_test.json";
  std::ofstream(path) << kTwoRanks;
  EXPECT_EQ(read_schedule_file(path).n_stages, 2);
  const std::string absent = testing::TempDir() + "no_such_schedule.json";
  test::expect_refused<FormatError>([&] { read_schedule_file(absent); },
                                    absent + ": cannot be read (");
}

TEST(ScheduleFile, AllActionsAreReadAndWritten) {
  for (const char* text : {"F 0 3", "B 0 3", "Bi 12 3", "W 0 345", "F&B 0 3 7 1", "send a 0 3 -> 1",
                           "send g 1 3 -> 0", "recv a 0 3 <- 0", "recv g 1 3 <- 32766"}) {
    EXPECT_EQ(to_text(parse_action(text)), text);
  }
  EXPECT_EQ(to_text(parse_action("  F   0  3 ")), "F 0 3");
}

TEST(ScheduleFile, ErrorsNameTheActionsPlace) {
  const auto with = [](const char* action) {
    std::string text = kTwoRanks;
    return text.replace(text.find("\"B 1 0\""), 7, action);
  };
  EXPECT_EQ(
      refusal(with("\"G 1 0\"")),
      "mine.json: ranks[1][1]: unknown action (found \"G 1 0\", expected F, B, Bi, W, F&B, send "
      "or recv in front); docs/schedules.md lists the actions");
  EXPECT_THAT(refusal(with("\"\"")),
              StartsWith("mine.json: ranks[1][1]: unknown action (found \"\""));
  EXPECT_THAT(refusal(with("\"B 1\"")),
              HasSubstr("ranks[1][1]: wrong action (found \"B 1\", expected B STAGE MICRO_BATCH)"));
  EXPECT_THAT(refusal(with("\"B 1 0 0\"")), HasSubstr("expected B STAGE MICRO_BATCH"));
  EXPECT_THAT(refusal(with("\"F&B 1 0\"")), HasSubstr("F&B STAGE MICRO_BATCH STAGE MICRO_BATCH"));
  EXPECT_THAT(refusal(with("\"send a 1 0 <- 0\"")), HasSubstr("expected send a|g STAGE"));
  EXPECT_THAT(refusal(with("\"recv x 1 0 <- 0\"")), HasSubstr("expected recv a|g STAGE"));
  EXPECT_THAT(refusal(with("\"B one 0\"")), HasSubstr("wrong number (found \"B one 0\""));
  EXPECT_THAT(refusal(with("\"B -1 0\"")), HasSubstr("instead of \"-1\""));
  EXPECT_THAT(refusal(with("\"B 99999999999 0\"")), HasSubstr("instead of \"99999999999\""));
  EXPECT_THAT(refusal(with("\"B 2 0\"")),
              HasSubstr("ranks[1][1]: no such stage in \"B 2 0\" (found "
                        "2, expected 0 to 1)"));
  EXPECT_THAT(refusal(with("\"B 1 2\"")), HasSubstr("no such micro-batch in \"B 1 2\""));
  EXPECT_THAT(refusal(with("\"F&B 1 0 1 7\"")), HasSubstr("no such micro-batch"));
  EXPECT_THAT(refusal(with("\"send g 1 0 -> 2\"")), HasSubstr("no such rank in"));
  EXPECT_THAT(refusal(with("7")), HasSubstr("ranks[1][1]: wrong type (found integer, expected "
                                            "string)"));
  EXPECT_THAT(refusal(with("[\"B 1 0\"]")), HasSubstr("(found array, expected string)"));
}

TEST(ScheduleFile, ErrorsNameTheField) {
  EXPECT_THAT(refusal("[]"), StartsWith("mine.json: not a schedule (found array"));
  EXPECT_THAT(refusal("{}"), StartsWith("mine.json: n_stages: missing"));
  EXPECT_THAT(refusal(R"({"n_stages": 1, "n_micro_batches": 1})"), HasSubstr("ranks: missing"));
  EXPECT_THAT(refusal(R"({"stages": 1})"), StartsWith("mine.json: unknown key (found \"stages\""));
  EXPECT_THAT(refusal(R"({"n_stage": 1})"), HasSubstr("did you mean n_stages?"));
  EXPECT_THAT(refusal(R"({"name": 3, "n_stages": 1})"),
              HasSubstr("name: wrong type (found integer"));
  for (const char* number : {"0", "-1", "1.5", "\"2\"", "1e300", "99999999999999999999", "null"}) {
    EXPECT_THAT(refusal(concat(R"({"n_stages": )", number, "}")),
                StartsWith("mine.json: n_stages: wrong number (found "));
  }
  EXPECT_THAT(refusal(R"({"n_stages": 9000000, "n_micro_batches": 9000000, "ranks": []})"),
              HasSubstr("n_micro_batches: the schedule is too long"));
  EXPECT_THAT(refusal(R"({"n_stages": 1, "n_micro_batches": 1, "ranks": []})"),
              HasSubstr("ranks: wrong number of ranks (found 0"));
  EXPECT_THAT(refusal(R"({"n_stages": 1, "n_micro_batches": 1, "ranks": {}})"),
              HasSubstr("ranks: wrong type (found object"));
  EXPECT_THAT(refusal(R"({"n_stages": 1, "n_micro_batches": 1, "ranks": ["F 0 0"]})"),
              HasSubstr("ranks[0]: wrong type (found string, expected array)"));
}

// A few bytes must not make us set up tables of ten million chunks.
TEST(ScheduleFile, LargeExtentsNeedAsManyActions) {
  EXPECT_THAT(refusal(R"({"n_stages": 10000, "n_micro_batches": 1000, "ranks": [["F 0 0"]]})"),
              HasSubstr("ranks: too few computations (found 1, expected at least 20000000: F and B "
                        "of 10000 stages x 1000 micro-batches)"));
}

TEST(ScheduleFile, HeldStagesAreChecked) {
  const auto with = [](const char* held) {
    std::string text = kTwoRanks;
    return text.insert(text.find("\"ranks\""), concat("\"held\": ", held, ", "));
  };
  EXPECT_EQ(parse_schedule(with("[[0, 1], [1]]"), "x").held,
            (std::vector<std::vector<int32_t>>{{0, 1}, {1}}));
  EXPECT_THAT(refusal(with("[[0]]")),
              HasSubstr("held: wrong number of ranks (found 1, expected 2"));
  EXPECT_THAT(refusal(with("[[0], 1]")), HasSubstr("held[1]: wrong type (found integer"));
  EXPECT_THAT(refusal(with("[[0], [2]]")),
              HasSubstr("held[1][0]: wrong number (found \"2\", expected an integer from 0 to 1)"));
}

TEST(ScheduleFile, EveryTruncationIsOneLine) {
  const std::string whole = schedule_text(make_schedule(ScheduleKind::kDualPipeV, 2, 2));
  for (size_t length = 0; length + 2 < whole.size(); ++length) refusal(whole.substr(0, length));
}

// The four schedules' own placement, and that of insert_transfers, are the same where transfers
// need no care: in one direction.
TEST(InsertTransfers, RebuildsThoseOfTheOneWaySchedules) {
  for (const ScheduleKind kind : {ScheduleKind::k1F1B, ScheduleKind::kZb1p}) {
    const PipelineSchedule schedule = make_schedule(kind, 5, 7);
    PipelineSchedule rebuilt = schedule;
    insert_transfers(rebuilt);
    EXPECT_EQ(rebuilt.ranks, schedule.ranks);
  }
}

// Two flows that meet need more care than transfers at their computations; all of DualPipe's
// computations must still be possible.
TEST(InsertTransfers, FindsThoseOfTwoFlows) {
  for (const ScheduleKind kind : {ScheduleKind::kDualPipe, ScheduleKind::kDualPipeV}) {
    for (int32_t n_stages = 2; n_stages <= 12; n_stages += 2) {
      const PipelineSchedule schedule = make_schedule(kind, n_stages, 2 * n_stages + 4);
      PipelineSchedule rebuilt = schedule;
      insert_transfers(rebuilt);
      const ScheduleCheck check = check_schedule(rebuilt, activation_bound(kind, n_stages));
      EXPECT_TRUE(check.ok()) << check.violations.front();
      for (size_t rank = 0; rank < rebuilt.ranks.size(); ++rank) {
        std::vector<Action> before = schedule.ranks[rank], after = rebuilt.ranks[rank];
        std::erase_if(before, [](const Action& action) { return action.is_transfer(); });
        std::erase_if(after, [](const Action& action) { return action.is_transfer(); });
        EXPECT_EQ(after, before);
      }
    }
  }
}

// A fault in the computations is told as such, not as faults of transfers that nobody wrote.
TEST(InsertTransfers, AddsNoneForAChunkDoneTwiceOrNever) {
  std::string text = kTwoRanks;
  text.replace(text.find("F 1 1"), 5, "F 1 0");
  EXPECT_THAT(check_schedule(parse_schedule(text, "x")).violations,
              testing::ElementsAre("rank 1, action 4 (F 1 0): computed a second time; F 1 0 ran "
                                   "before on rank 1",
                                   "no rank computes F 1 1"));
  text = kTwoRanks;
  text.replace(text.find("F 0 1"), 5, "F 0 0");
  EXPECT_THAT(
      check_schedule(parse_schedule(text, "x")).violations,
      testing::ElementsAre(HasSubstr("(F 0 0): computed a second time"), "no rank computes F 0 1"));
}

// Rank 1 uses micro-batch 1 first, which rank 0 makes second: its receive of micro-batch 0 moves up
// so that the pair keeps one order.
TEST(InsertTransfers, KeepTheSendersOrder) {
  const PipelineSchedule schedule = parse_schedule(R"({"n_stages": 2, "n_micro_batches": 2,
      "ranks": [["F 0 0", "F 0 1", "B 0 1", "B 0 0"], ["F 1 1", "B 1 1", "F 1 0", "B 1 0"]]})",
                                                   "mine.json");
  std::string text;
  for (const Action& action : schedule.ranks[1]) text += to_text(action) + ", ";
  EXPECT_EQ(text,
            "recv a 0 0 <- 0, recv a 0 1 <- 0, F 1 1, B 1 1, send g 1 1 -> 0, F 1 0, B 1 0, "
            "send g 1 0 -> 0, ");
  EXPECT_TRUE(check_schedule(schedule).ok());
}

}  // namespace
}  // namespace hadal
