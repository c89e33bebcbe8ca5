// The binary itself: exit codes, the one-line error, and where output goes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hadal/core/json.h"
#include "tests/support/run_hadal.h"

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

struct Wrong {
  std::vector<std::string> arguments;
  const char* text;
};

TEST(Usage, WrongUsageIsOneLineAndExitCodeTwo) {
  const Wrong cases[] = {
      {{"complation"}, "did you mean completion?"},
      {{"completion"}, "SHELL: missing"},
      {{"completion", "fsh"}, "expected bash, zsh, fish or man"},
      {{"completion", "bash", "--jsn"}, "did you mean --json?"},
      {{"completion", "bash", "--threads", "two"}, "found \"two\", expected a whole number"},
      {{"completion", "bash", "--threads", "99999999999999999999"}, "--threads: not a number here"},
      {{"completion", "bash", "--threads", "-3"}, "--threads: out of range"},
      {{"completion", "bash", "--seed"}, "--seed"},
      {{"completion", "bash", "extra"}, "has no such argument"},
      {{"completion", "ba\nsh\x1b[31m"}, "SHELL: unknown"},
      {{"completion", "bash", "--device", "tpu"}, "--device: unknown value (found tpu"},
  };
  for (const Wrong& wrong : cases) {
    const RunResult result = run_hadal(wrong.arguments);
    SCOPED_TRACE(result.err);
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_EQ(result.out, "");
    EXPECT_TRUE(is_one_line_error(result));
    EXPECT_THAT(result.err, HasSubstr(wrong.text));
    EXPECT_EQ(result.err.find('\x1b'), std::string::npos);
  }
}

TEST(Usage, AnAbsentDeviceIsAFailureNotAWrongUsage) {
  const RunResult result = run_hadal({"completion", "bash", "--device", "cuda"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_TRUE(is_one_line_error(result));
}

TEST(Usage, JsonIsOneDocument) {
  const RunResult result = run_hadal({"completion", "bash", "--json"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_TRUE(parse_json(result.out, "stdout").at("text").is_string());
}

TEST(Usage, EveryCommandTeachesItself) {
  const RunResult overview = run_hadal({"--help"});
  const RunResult man = run_hadal({"completion", "man"});
  EXPECT_EQ(man.exit_code, 0);
  EXPECT_THAT(man.out, HasSubstr(".SH COMMANDS"));
  EXPECT_THAT(overview.out, HasSubstr("completion"));
}

}  // namespace
}  // namespace hadal::testing
