// `hadal replay` as a process: of a run that a far too high rate stopped, of one whose loss spiked, and of
// what is no step of a run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hadal/core/json.h"
#include "hadal/io/atomic_write.h"
#include "tests/support/run_hadal.h"
#include "tests/support/small_run.h"

namespace hadal {
namespace {

using ::testing::AllOf;
using testing::expect_refused;
using ::testing::HasSubstr;
using testing::run_hadal;
using testing::RunResult;
using ::testing::StartsWith;

class ReplayCommand : public ::testing::Test {
 protected:
  RunResult train(const std::string& name, const std::vector<std::string>& set = {}) const {
    std::vector<std::string> words = {"train",    "--quiet",   "--json", "--threads",    "1",
                                      "--config", run_.toml(), "--out",  run_.path(name)};
    std::vector<std::string> all = {"data.cache_dir=" + run_.path("cache"),
                                    concat("data.paths=[\"", run_.path("text-*.txt"), "\"]")};
    all.insert(all.end(), set.begin(), set.end());
    for (const std::string& each : all) words.insert(words.end(), {"--set", each});
    return run_hadal(words);
  }
  // Two threads where the run had one: no bit depends on their number.
  RunResult replay(const std::string& name, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> words = {"replay", run_.path(name), "--quiet", "--threads", "2"};
    words.insert(words.end(), more.begin(), more.end());
    return run_hadal(words);
  }

  const test::SmallRun run_;
};

// Are the finite tensors of a report all in front of the one that it names, and that one is not finite?
void expect_first_not_finite(const Json& report) {
  const std::string& first = report.at("first").as_string();
  for (const Json& tensor : report.at("tensors").as_array()) {
    const bool named = tensor.at("name").as_string() == first;
    EXPECT_EQ(tensor.at("not_finite") != Json(0), named) << tensor.dump();
    if (named) return;
  }
  FAIL() << "no tensor " << first;
}

// The update of step 1 leaves weights that step 2 cannot compute with, and the run stops there.
TEST_F(ReplayCommand, NamesTheTensorThatStoppedARun) {
  const struct {
    const char *rate, *first, *verdict;
  } kCases[] = {{"1e38", "model.embed_tokens.weight", "elements are not finite before the step"},
                {"1e20", "hidden", "in FP32, too"}};
  for (const auto& [rate, first, verdict] : kCases) {
    const std::string name = concat("run-", rate);
    SCOPED_TRACE(name);
    const RunResult trained = train(name, {"precision.compute=bf16", "optimizer.warmup_steps=0",
                                           concat("optimizer.learning_rate=", rate)});
    ASSERT_EQ(trained.exit_code, 1) << trained.err;
    ASSERT_THAT(trained.err, HasSubstr("of step 2"));

    const RunResult replayed = replay(name, {"--json"});
    ASSERT_EQ(replayed.exit_code, 0) << replayed.err;
    const Json report = parse_json(replayed.out, "stdout");
    EXPECT_EQ(report.at("step").as_integer(), 2);
    EXPECT_EQ(report.at("from_step").as_integer(), 0) << "it had no checkpoint yet";
    EXPECT_EQ(report.at("precision").as_string(), "bf16");
    EXPECT_THAT(report.at("why").as_string(), HasSubstr("not_finite in stability.jsonl"));
    EXPECT_TRUE(report.at("repeated").as_bool()) << "step 1 as it was";
    EXPECT_THAT(report.at("first").as_string(), StartsWith(first));
    EXPECT_THAT(report.at("verdict").as_string(), AllOf(StartsWith(first), HasSubstr(verdict)));
    expect_first_not_finite(report);

    const RunResult shown = replay(name);
    ASSERT_EQ(shown.exit_code, 0) << shown.err;
    EXPECT_THAT(shown.out, AllOf(StartsWith("step 2 of " + run_.path(name) + " ("),
                                 HasSubstr("trained from the beginning: as recorded, bit for bit"),
                                 HasSubstr(report.at("verdict").as_string() + "\n\ntensor ")));
  }
}

TEST_F(ReplayCommand, ComputesTheWorstSpikeAgainFromTheCheckpointBefore) {
  // A rate that leaps: the norm after the leap is far above those before it.
  ASSERT_EQ(train("run", {"train.steps=24", "optimizer.learning_rate=0.3",
                          "optimizer.warmup_steps=20", "checkpoint.every_steps=8"})
                .exit_code,
            0);
  const RunResult replayed = replay("run", {"--json"});
  ASSERT_EQ(replayed.exit_code, 0) << replayed.err;
  const Json report = parse_json(replayed.out, "stdout");
  EXPECT_GT(report.at("step").as_integer(), 16);
  EXPECT_EQ(report.at("from_step").as_integer(), 16);
  EXPECT_TRUE(report.at("repeated").as_bool());
  EXPECT_THAT(report.at("why").as_string(), HasSubstr("times the median of the 16 steps before"));
  EXPECT_EQ(report.at("verdict").as_string(),
            "every tensor is finite, and the same in fp32 as in FP32");
}

// What was computed on ARM may be looked at on x86, and is not said to be the same.
TEST_F(ReplayCommand, ComputesARunOfAnotherArchitectureWithWhatIsHere) {
  ASSERT_EQ(train("run").exit_code, 0);
  const std::string path = run_.path("run/made_by.json");
  Json made_by = parse_json_file(path);
  Json& set = made_by.as_array().back()["instruction_set"];
  const std::string here = set.as_string(), there = here == "neon" ? "avx2" : "neon";
  set = there;
  write_file_atomically(path, made_by.dump());
  std::vector<std::string> words = {"replay", run_.path("run"), "--step", "6"};
  const RunResult replayed = run_hadal(words);
  EXPECT_EQ(replayed.exit_code, 0);
  EXPECT_THAT(replayed.err, HasSubstr(concat("made with ", there,
                                             ", which this processor does not have: computing "
                                             "with ",
                                             here)));
}

TEST_F(ReplayCommand, WrongInputs) {
  expect_refused(replay("nothing"),
                 {.arguments = {}, .names = run_.path("nothing") + ": not the folder of a run"});
  expect_refused(run_hadal({"replay"}), {.arguments = {}, .names = "RUN"});
  ASSERT_EQ(train("run").exit_code, 0);
  expect_refused(replay("run", {"--step", "9"}),
                 {.arguments = {}, .names = "--step: beyond the run's end", .hint = "found 9"});
  expect_refused(replay("run", {"--step", "0"}),
                 {.arguments = {}, .names = "--step: out of range", .hint = "at least 1"});
  expect_refused(replay("run"), {.arguments = {},
                                 .names = run_.path("run") + ": no step of it stands out",
                                 .hint = "name one with --step"});
}

}  // namespace
}  // namespace hadal
