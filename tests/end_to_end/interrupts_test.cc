// Signals: what was done so far stays, and the exit code says that it is not all.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <limits>
#include <thread>

#include "hadal/train/metrics.h"
#include "tests/support/small_run.h"
#include "tests/support/text_model_folder.h"

namespace hadal::testing {
namespace {

// The wait status of a `hadal generate` that gets SIGINT after so long.
int interrupted_after(std::chrono::milliseconds delay) {
  const std::string& model = test::text_model_folder();
  const pid_t process = fork();
  if (process == 0) {
    const int nothing = open("/dev/null", O_WRONLY);
    dup2(nothing, STDOUT_FILENO);
    dup2(nothing, STDERR_FILENO);
    execl(HADAL_BINARY, HADAL_BINARY, "generate", "--model", model.c_str(), "--prompt", "the", "-n",
          "100", "--ignore-eos", "--threads", "1", nullptr);
    _exit(127);
  }
  std::this_thread::sleep_for(delay);
  kill(process, SIGINT);
  int status = 0;
  waitpid(process, &status, 0);
  return status;
}

// Where the signal meets the program is chance: too early it ends the process by itself, too late
// the answer was complete. Some of many moments lie between.
TEST(Interrupts, AnAnswerThatWasCutShortExitsWith130) {
  bool seen = false;
  for (int delay = 1; delay <= 400 && !seen; ++delay) {
    const int status = interrupted_after(std::chrono::milliseconds(delay));
    if (WIFSIGNALED(status)) continue;
    ASSERT_TRUE(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 130) << WEXITSTATUS(status);
    seen = WEXITSTATUS(status) == 130;
  }
  EXPECT_TRUE(seen);
}

// Without a checkpoint of its own making on the way, the last one is all that there is of the run.
TEST(Interrupts, ATerminatedRunLeavesACheckpointOfItsLastStep) {
  const test::SmallRun run;
  const std::string out = run.path("run"), metrics = out + "/metrics.jsonl";
  const std::vector<std::string> words = {HADAL_BINARY,
                                          "train",
                                          "--quiet",
                                          "--config",
                                          run.toml(),
                                          "--out",
                                          out,
                                          "--threads",
                                          "1",
                                          "--set",
                                          "data.cache_dir=" + run.path("cache"),
                                          "--set",
                                          "data.paths=[\"" + run.path("text-*.txt") + "\"]",
                                          "--set",
                                          "train.steps=100000",
                                          "--set",
                                          "checkpoint.every_steps=0",
                                          "--set",
                                          "checkpoint.every_seconds=0",
                                          "--set",
                                          "eval.every_steps=0"};
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const pid_t process = fork();
  if (process == 0) {
    dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
    execv(HADAL_BINARY, argv.data());
    _exit(127);
  }
  int status = 0;
  while (!std::filesystem::exists(metrics) || std::filesystem::file_size(metrics) == 0) {
    ASSERT_EQ(waitpid(process, &status, WNOHANG), 0) << "it ended by itself";
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  kill(process, SIGTERM);
  waitpid(process, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 130);
  const std::vector<Json> lines = read_metrics(out, std::numeric_limits<int64_t>::max());
  ASSERT_TRUE(std::filesystem::exists(out + "/latest/state.json"));
  EXPECT_EQ(parse_json_file(out + "/latest/state.json").at("step"), lines.back().at("step"));
}

}  // namespace
}  // namespace hadal::testing
