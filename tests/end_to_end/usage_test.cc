// The binary itself: exit codes, the one-line error, and where output goes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <sstream>

#include "hadal/cli/commands.h"
#include "hadal/core/error.h"
#include "hadal/core/json.h"
#include "tests/support/run_hadal.h"
#include "tests/support/temporary_folder.h"

namespace hadal::testing {
namespace {

using ::testing::HasSubstr;

TEST(Usage, HelpAndVersionGoToStdout) {
  for (const char* word : {"--help", "-h", "help", "--version"}) {
    const RunResult result = run_hadal({word});
    EXPECT_EQ(result.exit_code, 0) << word;
    EXPECT_THAT(result.out, HasSubstr("hadal")) << word;
    EXPECT_EQ(result.err, "") << word;
  }
}

// Of little output and of more than a buffer holds: written out at the end, or in the middle.
TEST(Usage, AFullDeviceIsAnErrorAndNotSilence) {
  const std::string errors = ::testing::TempDir() + "full-device";
  for (const char* words : {"--help", "completion man", "completion bash", "presets", "plan",
                            "plan --json", "plan --help", "inspect " HADAL_GOLDEN_DIR "/f_tied"}) {
    const std::string line = concat(HADAL_BINARY " ", words, " > /dev/full 2> '", errors, "'");
    const int status = std::system(line.c_str());
    ASSERT_TRUE(WIFEXITED(status)) << words;
    EXPECT_EQ(WEXITSTATUS(status), 1) << words;
    EXPECT_EQ(test::read_bytes(errors),
              "hadal: error: standard output: cannot be written; is the disk full?\n")
        << words;
  }
  // A command that fails anyway says that alone.
  const int status =
      std::system(concat(HADAL_BINARY " completion fsh > /dev/full 2> '", errors, "'").c_str());
  EXPECT_EQ(WEXITSTATUS(status), 2);
  EXPECT_THAT(test::read_bytes(errors), HasSubstr("expected bash, zsh, fish or man"));
}

TEST(Usage, WrongUsageIsOneLineAndExitCodeTwo) {
  expect_refused({
      {{"complation"}, "complation: no such command", "did you mean completion?"},
      {{"completion"}, "SHELL: missing"},
      {{"completion", "fsh"}, "SHELL: unknown", "expected bash, zsh, fish or man"},
      {{"completion", "bash", "--jsn"},
       "--jsn: hadal completion has no such option",
       "did you mean --json?"},
      {{"completion", "bash", "--threads", "two"},
       "--threads: not a number here",
       "found \"two\", expected a whole number"},
      {{"completion", "bash", "--threads", "99999999999999999999"}, "--threads: not a number here"},
      {{"completion", "bash", "--threads", "-3"}, "--threads: out of range"},
      {{"completion", "bash", "--seed"}, "--seed"},
      {{"completion", "bash", "extra"}, "extra: hadal completion has no such argument"},
      {{"completion", "ba\nsh\x1b[31m"}, "SHELL: unknown"},
      {{"completion", "bash", "--device", "tpu"}, "--device: unknown value (found tpu"},
  });
}

// The library refuses in its own names; the command line says which of its options is meant.
TEST(Usage, ARefusalNamesTheOptionOfTheCommand) {
  expect_refused({
      {{"plan", "--layout", "ep=48"}, "--layout: ep: the experts do not divide (found 48"},
      {{"plan", "--layout", "qq=1"}, "--layout: not a setting"},
      {{"plan", "--cluster", "h800-65"}, "--cluster: not a number of whole nodes"},
      {{"plan", "--set", "gpu_prce=1"}, "--set: gpu_prce: no such number in this plan"},
      {{"plan", "sweep", "--vary", "gpu_prce=1", "--show", "days"}, "--vary: gpu_prce: no such"},
      {{"plan", "sweep", "--vary", "gpu_price=1", "--show", "dys"}, "--show: dys: no such"},
      {{"plan", "scaling", "--gpus", "7"}, "--gpus: not a number of whole nodes"},
      {{"plan", "experts", "--zipf", "99"}, "--zipf: out of range (found 99"},
      {{"plan", "experts", "--zipf", "1", "--replicas", "3"}, "--replicas: too few (found 3"},
      {{"plan", "experts", "--zipf", "1", "--gpus", "32", "--replicas", "257"},
       "--replicas: unequal GPUs"},
      {{"plan", "experts", "--zipf", "1", "--gpus", "0"}, "--gpus: out of range"},
      {{"pipeline", "--schedule", "dualpip"}, "--schedule: unknown value"},
      {{"pipeline", "--stages", "7", "--micro-batches", "14"}, "--stages: dualpipe pairs"},
      {{"pipeline", "--stages", "8", "--micro-batches", "4"}, "--micro-batches: too few to fill"},
      {{"pipeline", "--stages", "4", "--forward", "1,2"}, "--forward: wrong number of values"},
      {{"pipeline", "--stages", "4", "--all-to-all", "1,2"}, "--all-to-all: wrong number"},
      {{"pipeline", "--stages", "4", "--overlap-efficiency", "2"}, "--overlap-efficiency: out"},
      {{"bench", "prefill", "--preset", "nano", "--prompt-tokens", "0"}, "--prompt-tokens: out"},
      {{"bench", "decode", "--preset", "nano", "--speculate", "99"}, "--speculate: this model"},
      {{"bench", "gemm", "--shape", "1x2"}, "--shape: not a shape (found '1x2'"},
      {{"bench", "train", "--seq", "1"}, "--seq: out of range (found 1"},
      {{"train", "--set", "train.stepz=3"}, "--set: train.stepz: unknown setting"},
      {{"train", "--set", "train.steps=x"}, "--set: train.steps: wrong type"},
      {{"train", "--set", "data.paths=x", "--set", "model.preset=tiny"}, "--out: the run needs"},
  });
}

TEST(Usage, HadalSimdLimitsTheInstructionSet) {
  const std::vector<std::string> gemm = {"bench", "gemm", "--shape", "4x4x4", "--rounds", "1"};
  EXPECT_EQ(run_hadal(gemm, "", {"HADAL_SIMD=sse4"}).exit_code, 0);
  expect_refused(run_hadal(gemm, "", {"HADAL_SIMD=mmx"}),
                 {.arguments = gemm, .names = "HADAL_SIMD: unknown instruction set"});
}

// For programs the same reason has the library's names.
TEST(Usage, AReasonInJsonHasPlainNames) {
  const std::vector<std::string> call = {"pipeline",        "--compare", "--stages",  "8",
                                         "--micro-batches", "4",         "--threads", "1"};
  EXPECT_THAT(run_hadal(call).out, HasSubstr("not possible: --micro-batches: too few"));
  std::vector<std::string> json = call;
  json.push_back("--json");
  EXPECT_THAT(run_hadal(json).out, HasSubstr("\"n_micro_batches: too few"));
}

TEST(Usage, AnAbsentDeviceIsAFailureNotAWrongUsage) {
  expect_refused({{{"bench", "decode", "--preset", "tiny", "--device", "cuda"},
                   "--device: this build computes on the CPU only",
                   "",
                   1}});
}

TEST(Usage, JsonIsOneDocument) {
  const RunResult result = run_hadal({"completion", "bash", "--json"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_TRUE(parse_json(result.out, "stdout").at("text").is_string());
}

// Its help names every option with a sentence and shows an example; the overview and the manual page
// name it.
TEST(Usage, EveryCommandTeachesItself) {
  const RunResult overview = run_hadal({"--help"});
  const RunResult man = run_hadal({"completion", "man"});
  EXPECT_EQ(man.exit_code, 0);
  EXPECT_THAT(man.out, HasSubstr(".SH COMMANDS"));
  size_t n_commands = 0;
  for (const cli::Command& each : cli::all_commands()) {
    const cli::CommandInfo command = cli::describe(each);
    SCOPED_TRACE(command.name);
    std::vector<std::string> call;
    std::istringstream words(command.name);
    for (std::string word; words >> word;) call.push_back(word);
    EXPECT_THAT(overview.out, HasSubstr(call.front()));
    EXPECT_THAT(man.out, HasSubstr("\"hadal " + command.name + " "));
    call.push_back("--help");
    const RunResult help = run_hadal(call);
    EXPECT_EQ(help.exit_code, 0);
    EXPECT_EQ(help.err, "");
    EXPECT_THAT(help.out, HasSubstr(command.summary));
    EXPECT_THAT(help.out, HasSubstr("examples:"));
    for (const cli::OptionInfo& option : command.options) {
      EXPECT_THAT(help.out, HasSubstr(option.names.front()));
      EXPECT_THAT(help.out, HasSubstr(option.help.substr(0, option.help.find(' '))));
    }
    ++n_commands;
  }
  EXPECT_GT(n_commands, 20U);
}

}  // namespace
}  // namespace hadal::testing
