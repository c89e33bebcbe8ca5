// `hadal package` and `hadal repeat` as processes: a run of two phases in FP8, packed, and trained again
// where its text lies elsewhere.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "hadal/core/json.h"
#include "hadal/io/manifest.h"
#include "hadal/train/run_folder.h"
#include "tests/support/generated_text.h"
#include "tests/support/run_hadal.h"
#include "tests/support/small_run.h"

namespace hadal {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using testing::expect_refused;
using ::testing::HasSubstr;
using testing::run_hadal;
using testing::RunResult;

// Behind the small run's 8 steps with rows of 24: 4 with rows of 48, of another text.
constexpr const char* kSecondPhase = R"([[phase]]
name = "longer"
[phase.data]
paths = ["MORE"]
[phase.train]
seq_len = 48
batch_sequences = 2
steps = 4
)";

class PackageCommand : public ::testing::Test {
 protected:
  PackageCommand() {
    fs::create_directories(run_.path("more"));
    for (uint64_t i = 20; i < 24; ++i) {
      folder_write("more/" + std::to_string(i) + ".txt", test::generated_text(i, 300));
    }
  }

  void folder_write(const std::string& name, const std::string& text) const {
    FILE* file = std::fopen(run_.path(name).c_str(), "w");
    ASSERT_NE(file, nullptr);
    std::fwrite(text.data(), 1, text.size(), file);
    std::fclose(file);
  }

  static RunResult hadal(std::vector<std::string> words,
                         const std::vector<std::string>& environment = {}) {
    words.insert(words.end(), {"--quiet", "--json"});
    return run_hadal(words, "", environment);
  }

  // A run in `name`, of both phases unless it is to be stopped by other limits.
  RunResult train(const std::string& name, const std::vector<std::string>& set = {},
                  const std::vector<std::string>& environment = {}) const {
    std::string toml = test::read_bytes(run_.toml()) + kSecondPhase;
    toml.replace(toml.find("MORE"), 4, run_.path("more"));
    folder_write("phases.toml", toml);
    std::vector<std::string> words = {
        "train", "--threads", "1", "--config", run_.path("phases.toml"), "--out", run_.path(name)};
    std::vector<std::string> all = {"data.cache_dir=" + run_.path("cache"),
                                    concat("data.paths=[\"", run_.path("text-*.txt"), "\"]"),
                                    "precision.compute=fp8", "optimizer.ema_decay=0.9"};
    all.insert(all.end(), set.begin(), set.end());
    for (const std::string& each : all) words.insert(words.end(), {"--set", each});
    return hadal(words, environment);
  }

  RunResult package(const std::string& run, const std::string& out,
                    std::vector<std::string> more = {}) const {
    more.insert(more.begin(), {"package", run_.path(run), run_.path(out)});
    return hadal(more);
  }
  // Two threads where the run had one: no bit depends on their number.
  RunResult repeat(const std::string& package, const std::string& out,
                   std::vector<std::string> more = {},
                   const std::vector<std::string>& environment = {}) const {
    more.insert(more.begin(),
                {"repeat", run_.path(package), "--out", run_.path(out), "--threads", "2"});
    std::vector<std::string> all = {"XDG_CACHE_HOME=" + run_.path("other-cache")};
    all.insert(all.end(), environment.begin(), environment.end());
    return hadal(more, all);
  }

  Json package_json(const std::string& package) const {
    return parse_json_file(run_.path(package) + "/package.json");
  }
  void write_package_json(const std::string& package, const Json& json) const {
    folder_write(package + "/package.json", json.dump(2));
  }

  const test::SmallRun run_;
};

TEST_F(PackageCommand, AnotherMachineRepeatsTheRunBitForBit) {
  ASSERT_EQ(train("run").exit_code, 0);
  const RunResult packed = package("run", "packed", {"--with-data"});
  ASSERT_EQ(packed.exit_code, 0) << packed.err;
  EXPECT_EQ(parse_json(packed.out, "").at("step").as_integer(), 12);
  EXPECT_TRUE(parse_json(packed.out, "").at("finished").as_bool());
  // Another machine: neither the run nor its text nor its prepared text is there.
  fs::rename(run_.path("run"), run_.path("gone"));
  fs::remove_all(run_.path("cache"));
  fs::remove_all(run_.path("more"));
  for (int i = 0; i < 12; ++i) fs::remove(run_.path(concat("text-", i, ".txt")));

  const RunResult again = repeat("packed", "again");
  ASSERT_EQ(again.exit_code, 0) << again.out << again.err;
  const Json report = parse_json(again.out, "");
  EXPECT_TRUE(report.at("equal").as_bool());
  EXPECT_TRUE(report.at("differing").as_array().empty());
  EXPECT_EQ(report.at("steps").as_integer(), 12);
  EXPECT_THAT(test::differing_files(run_.path("gone/ema"), run_.path("again/ema")), ElementsAre());
  EXPECT_THAT(test::differing_files(run_.path("gone/latest"), run_.path("again/latest")),
              ElementsAre());
}

TEST_F(PackageCommand, ARunOnRanksIsRepeatedOnAsMany) {
  const std::vector<std::string> ranks = {"parallel.data=2", "parallel.expert=2",
                                          "train.micro_batch_sequences=1"};
  ASSERT_EQ(train("run", ranks).exit_code, 0);
  ASSERT_EQ(package("run", "packed").exit_code, 0);
  ASSERT_EQ(package_json("packed").at("made_by").as_array().back().at("ranks").as_integer(), 2);
  const RunResult again = repeat("packed", "again");
  ASSERT_EQ(again.exit_code, 0) << again.out << again.err;
  EXPECT_THAT(test::differing_files(run_.path("run/latest"), run_.path("again/latest")),
              ElementsAre());
}

TEST_F(PackageCommand, SaysWhichFileOfTheTextIsAnother) {
  ASSERT_EQ(train("run").exit_code, 0);
  ASSERT_EQ(package("run", "packed").exit_code, 0);
  fs::copy(run_.path("more"), run_.path("moved"));
  ASSERT_EQ(
      repeat("packed", "again", {"--data", run_.path("text-*.txt"), "--data", run_.path("moved")})
          .exit_code,
      0);
  std::string text = test::read_bytes(run_.path("moved/21.txt"));
  text[5] ^= 1;
  folder_write("moved/21.txt", text);
  fs::remove(run_.path("moved/23.txt"));
  expect_refused(
      repeat("packed", "other", {"--data", run_.path("text-*.txt"), "--data", run_.path("moved")}),
      {.arguments = {},
       .names = run_.path("moved") + ": not what the run began with",
       .hint = "21.txt has the same size and other bytes, and 1 more"});
  EXPECT_FALSE(fs::exists(run_.path("other"))) << "nothing is trained on another text";
}

TEST_F(PackageCommand, SaysWhatCameOutOtherwise) {
  ASSERT_EQ(train("run").exit_code, 0);
  ASSERT_EQ(package("run", "packed").exit_code, 0);
  Json package = package_json("packed");
  package["checkpoint"]["files"]["training_state.safetensors"]["xxh3_64"] = "0123456789abcdef";
  package["checkpoint"]["state"]["tokens"] = 7;
  // A loss of another run, and the package's hash of that file.
  const std::string metrics = run_.path("packed/metrics.jsonl");
  std::string text = test::read_bytes(metrics);
  const size_t line = text.find("\"step\":5,");
  text.replace(text.find("\"train/loss\":", line), 13, "\"train/loss\":1");
  folder_write("packed/metrics.jsonl", text);
  package["files"]["metrics.jsonl"] = file_checksum(metrics);
  write_package_json("packed", package);

  const RunResult again = repeat("packed", "again");
  EXPECT_EQ(again.exit_code, 1) << again.err;
  const Json report = parse_json(again.out, "");
  EXPECT_FALSE(report.at("equal").as_bool());
  EXPECT_EQ(report.at("first_step").as_integer(), 5);
  std::vector<std::string> differing;
  for (const Json& each : report.at("differing").as_array()) differing.push_back(each.as_string());
  EXPECT_THAT(differing, ElementsAre(HasSubstr("step 5: train/loss"),
                                     HasSubstr("step-00000012/training_state.safetensors: "),
                                     "state.json: tokens differs"));
}

TEST_F(PackageCommand, ARunByTimeIsRepeatedByItsPlanOfTokens) {
  const std::vector<std::string> words = {"train",
                                          "--threads",
                                          "1",
                                          "--config",
                                          run_.toml(),
                                          "--out",
                                          run_.path("run"),
                                          "--set",
                                          "data.cache_dir=" + run_.path("cache"),
                                          "--set",
                                          concat("data.paths=[\"", run_.path("text-*.txt"), "\"]"),
                                          "--set",
                                          "train.steps=0",
                                          "--set",
                                          "train.max_seconds=1"};
  const RunResult trained = hadal(words);
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  ASSERT_EQ(package("run", "packed").exit_code, 0);
  const RunResult again = repeat("packed", "again");
  EXPECT_EQ(again.exit_code, 0) << again.out << again.err;
  EXPECT_EQ(parse_json(again.out, "").at("steps"), parse_json(trained.out, "").at("step"));
}

// The checkpoint of a run that was killed is repeated, too: up to its step, with no evaluation at the end.
TEST_F(PackageCommand, ARunThatWasCutOffIsRepeatedUntilItsLastCheckpoint) {
  ASSERT_EQ(train("run", {"checkpoint.keep=100", "checkpoint.every_steps=5"}).exit_code, 0);
  test::copy_as_killed_after(run_, "run", "killed", 5);
  const RunResult packed = package("killed", "packed");
  ASSERT_EQ(packed.exit_code, 0) << packed.err;
  EXPECT_FALSE(parse_json(packed.out, "").at("finished").as_bool());
  const RunResult again = repeat("packed", "again");
  EXPECT_EQ(again.exit_code, 0) << again.out << again.err;
  EXPECT_EQ(parse_json(again.out, "").at("steps").as_integer(), 5);
  // A second time it only goes on, and compares.
  EXPECT_EQ(repeat("packed", "again", {"--resume"}).exit_code, 0);
  expect_refused(repeat("packed", "again"),
                 {.arguments = {}, .names = run_.path("again") + ": already holds a run"});
}

TEST_F(PackageCommand, ComputesWithTheInstructionSetOfTheRun) {
  ASSERT_EQ(train("old", {}, {"HADAL_SIMD=sse4"}).exit_code, 0);
  ASSERT_EQ(package("old", "old.packed").exit_code, 0);
  EXPECT_EQ(repeat("old.packed", "again").exit_code, 0) << "an older one than the machine's";
  ASSERT_EQ(train("new").exit_code, 0);
  ASSERT_EQ(package("new", "new.packed").exit_code, 0);
  EXPECT_EQ(repeat("new.packed", "again2", {}, {"HADAL_SIMD=sse4"}).exit_code, 0);
}

TEST_F(PackageCommand, ARunOfAnotherArchitectureIsRefusedInOneLine) {
  ASSERT_EQ(train("run", {"train.steps=2"}).exit_code, 0);
  ASSERT_EQ(package("run", "packed").exit_code, 0);
  Json package = package_json("packed");
  Json& set = package["made_by"].as_array().back()["instruction_set"];
  const std::string here = set.as_string(), there = here == "neon" ? "avx2" : "neon";
  set = there;
  write_package_json("packed", package);
  expect_refused(
      repeat("packed", "again"),
      {.arguments = {},
       .names = concat("repeat: another instruction set than the run was made with: sums end in "
                       "other bits (found ",
                       here, ", expected ", there, "); repeat it where there is ", there),
       .exit_code = 1});
  EXPECT_FALSE(fs::exists(run_.path("again"))) << "nothing is trained";
}

TEST_F(PackageCommand, ARunWhoseSettingsChangedOnTheWayIsNotRepeated) {
  ASSERT_EQ(train("run", {"checkpoint.keep=100", "checkpoint.every_steps=5"}).exit_code, 0);
  test::copy_as_killed_after(run_, "run", "killed", 5);
  ASSERT_EQ(hadal({"train", "--resume", "--out", run_.path("killed"), "--threads", "2", "--config",
                   run_.path("killed/run.toml"), "--set", "optimizer.weight_decay=0.2"})
                .exit_code,
            0);
  const RunResult packed = package("killed", "packed");
  ASSERT_EQ(packed.exit_code, 0) << packed.err;
  EXPECT_EQ(parse_json(packed.out, "").at("not_repeatable").as_string(),
            "from step 5 on it has another value of a setting than before");
  expect_refused(repeat("packed", "again"),
                 {.arguments = {},
                  .names = run_.path("packed") + ": no single training gives this run again",
                  .exit_code = 1});
}

TEST_F(PackageCommand, WrongInputs) {
  expect_refused(package("nothing", "out"),
                 {.arguments = {}, .names = run_.path("nothing") + ": not the folder of a run"});
  ASSERT_EQ(train("run", {"train.steps=2"}).exit_code, 0);
  ASSERT_EQ(package("run", "packed").exit_code, 0);
  expect_refused(package("run", "packed"),
                 {.arguments = {}, .names = run_.path("packed") + ": there already"});
  fs::create_directories(run_.path("empty"));
  expect_refused(repeat("empty", "again"),
                 {.arguments = {}, .names = run_.path("empty") + ": not a package"});
  expect_refused(repeat("packed", "again", {"--data", run_.path("more")}),
                 {.arguments = {}, .names = "--data: one path for each path of the run"});
  fs::rename(run_.path("more"), run_.path("elsewhere"));
  expect_refused(repeat("packed", "again"),
                 {.arguments = {}, .names = "--data: what the run began with is not here"});
  fs::rename(run_.path("elsewhere"), run_.path("more"));

  const Json good = package_json("packed");
  Json other = good;
  other["format"] = "hadal package 9";
  write_package_json("packed", other);
  expect_refused(repeat("packed", "again"),
                 {.arguments = {},
                  .names = run_.path("packed/package.json") + ": format: not a package that this"});
  Json less = good;
  std::erase_if(less.as_object(), [](const auto& entry) { return entry.first == "end"; });
  write_package_json("packed", less);
  expect_refused(repeat("packed", "again"),
                 {.arguments = {}, .names = run_.path("packed/package.json"), .hint = "end"});
  write_package_json("packed", good);
  std::string toml = test::read_bytes(run_.path("packed/run.toml"));
  toml[0] = '#';
  folder_write("packed/run.toml", toml);
  expect_refused(
      repeat("packed", "again"),
      {.arguments = {}, .names = run_.path("packed/run.toml") + ": not as it was packed"});
  EXPECT_FALSE(fs::exists(run_.path("again")));

  // A checkpoint of the run itself that the disk has changed.
  std::string weights = test::read_bytes(run_.path("run/latest/model.safetensors"));
  weights[weights.size() / 2] ^= 1;
  folder_write("run/latest/model.safetensors", weights);
  expect_refused(package("run", "other"),
                 {.arguments = {},
                  .names = run_.path("run/checkpoints/") + checkpoint_name(6) +
                           ": the checkpoint is damaged"});
}

}  // namespace
}  // namespace hadal
