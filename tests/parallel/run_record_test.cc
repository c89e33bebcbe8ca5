#include "hadal/parallel/run_record.h"

#include <gtest/gtest.h>

#include "hadal/comm/thread_ranks.h"
#include "hadal/core/clock.h"
#include "hadal/io/atomic_write.h"
#include "hadal/parallel/overlap_report.h"
#include "hadal/parallel/trace_gather.h"
#include "tests/support/pipeline_case.h"
#include "tests/support/temporary_folder.h"

namespace hadal::test {
namespace {

PipelineCase experts_of_dualpipe() {
  ModelConfig config = odd_config();
  config.n_layers = 4;
  PipelineCase of{config, ScheduleKind::kDualPipe, 2, 8};
  of.replicas = of.expert = 2;
  return of;
}

TEST(RunRecord, AFileGivesBackWhatWasWritten) {
  const PipelineCase of = experts_of_dualpipe();
  const PipelineResult result(of);
  const RunRecord record{of.schedule, 2, 1e-6, {{3, true, result.traces}}};
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/trace.json";
  const std::string text = record_json(record).dump();
  write_file_atomically(path, text);
  const RunRecord read = read_run_record(path);
  EXPECT_EQ(record_json(read).dump(), text);
  EXPECT_EQ(read.steps[0].step, 3);
  const std::vector<RunTrace> pipeline = read.pipeline(0, 1);  // world ranks 1 and 3
  ASSERT_EQ(pipeline.size(), 2U);
  EXPECT_EQ(pipeline[1].waits.size(), result.traces[3].waits.size());
  EXPECT_EQ(pipeline[1].actions.size(), result.traces[3].actions.size());

  write_file_atomically(path, R"({"schedule": 1})");
  try {
    read_run_record(path);
    FAIL() << "a file without a schedule was read";
  } catch (const FormatError& error) {
    EXPECT_NE(std::string(error.what()).find(path), std::string::npos) << error.what();
  }
}

// Every message that was waited for was noted where it was sent, under the same key.
TEST(RunRecord, BothEndsOfAMessageHaveOneKey) {
  const PipelineResult result(experts_of_dualpipe());
  std::map<MessageKey, double> sent;
  for (const RunTrace& rank : result.traces) {
    for (const TimedSend& each : rank.sends) {
      EXPECT_TRUE(sent.emplace(each.message, each.at).second);
    }
  }
  size_t n_waits = 0;
  for (const RunTrace& rank : result.traces) {
    for (const TimedWait& each : rank.waits) {
      ++n_waits;
      const auto at = sent.find(each.message);
      ASSERT_NE(at, sent.end());
      EXPECT_LE(at->second, each.end);
    }
  }
  EXPECT_EQ(n_waits, sent.size());
  EXPECT_GT(n_waits, 0U);
}

// By hand. The first message left before it was waited for, the second in the middle of the wait.
TEST(OverlapReport, AWaitIsForTheSenderThenForTheWay) {
  RunTrace sender, receiver;
  const MessageKey first{0, 1, 7, 0, 0}, second{0, 1, 7, 0, 1}, own{1, 1, 7, 0, 0};
  sender.sends = {{first, 8, 10.0}, {second, 8, 12.5}};
  const RankPlace dispatch{1, "experts", 0, 0};
  receiver.waits = {{"experts", dispatch, 0, 8, 11.0, 11.5, first},
                    {"experts", dispatch, 0, 8, 12.0, 13.5, second},
                    {"experts", dispatch, 1, 8, 14.0, 15.0, own}};
  const std::vector<RunTrace> world = {sender, receiver};
  const std::vector<PhaseWaits> waits = phase_waits(world);
  ASSERT_EQ(waits.size(), 1U);
  EXPECT_EQ(waits[0].n_messages, 2);
  EXPECT_DOUBLE_EQ(waits[0].on_the_way, 0.5 + 1.0);
  EXPECT_DOUBLE_EQ(waits[0].late, 0.5);

  RunTrace fast = receiver;
  fast.waits.resize(1);  // of 0.5 seconds
  RunRecord record;
  record.steps = {{1, true, {sender, fast}}, {2, false, world}, {3, false, world}};
  EXPECT_TRUE(has_both(record));
  const OverlapReport report = overlap_report(record);
  EXPECT_DOUBLE_EQ(report.schedule.alone, 1.5);
  EXPECT_DOUBLE_EQ(report.schedule.exposed, 0.5);
  EXPECT_DOUBLE_EQ(report.schedule.hidden(), 1.0 - 0.5 / 1.5);
  record.steps.resize(1);
  EXPECT_FALSE(has_both(record));
}

// The second rank notes times of a clock that is two hours ahead.
TEST(TraceGather, TracesComeOnTheFirstRanksClock) {
  constexpr double kAhead = 7200.0, kWay = 2e-3;
  Arena arena;  // outlives the ranks
  GatheredTraces all;
  double sent_at = 0;
  run_thread_ranks({.n_ranks = 2, .link = {.latency_seconds = kWay}}, [&](Communicator& world) {
    const double ahead = world.rank() * kAhead;
    const auto now = [ahead] { return monotonic_seconds() + ahead; };
    RunTrace mine;
    mine.sends = {{{}, 8, now()}};
    if (world.rank() == 1) sent_at = mine.sends[0].at - kAhead;
    GatheredTraces gathered = gather_traces(world, mine, arena, now);
    if (world.rank() == 0) all = std::move(gathered);
  });
  ASSERT_EQ(all.ranks.size(), 2U);
  EXPECT_NEAR(all.ranks[1].sends[0].at, sent_at, all.clock_error);
  EXPECT_GT(all.clock_error, kWay);  // half a round trip of two ways
  EXPECT_LT(all.clock_error, 10 * kWay);
}

}  // namespace
}  // namespace hadal::test
