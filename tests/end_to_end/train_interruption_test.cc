// `hadal train` as a process: killed, interrupted, out of disk. Whatever happens, the run resumes
// and ends with the bytes of one that was left alone.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <thread>

#include "hadal/core/json.h"
#include "hadal/train/run_folder.h"
#include "tests/support/run_hadal.h"
#include "tests/support/small_run.h"

namespace hadal {
namespace {

namespace fs = std::filesystem;
using testing::expect_refused;
using testing::run_hadal;
using testing::RunResult;

class TrainProcess : public ::testing::Test {
 protected:
  std::vector<std::string> arguments(const std::string& name, bool resume) const {
    std::vector<std::string> result = {"train", "--quiet", "--json", "--threads", "1"};
    if (resume) {
      result.insert(result.end(), {"--resume", "--out", run_.path(name)});
      return result;
    }
    result.insert(result.end(), {"--config", run_.toml(), "--out", run_.path(name), "--set",
                                 "data.cache_dir=" + run_.path("cache"), "--set",
                                 concat("data.paths=[\"", run_.path("text-*.txt"), "\"]"), "--set",
                                 "train.steps=40", "--set", "checkpoint.every_steps=3", "--set",
                                 "checkpoint.keep=2"});
    return result;
  }

  // Starts hadal train and returns its process id; `file_limit` bounds every file it writes.
  pid_t start(const std::string& name, bool resume, rlim_t file_limit = RLIM_INFINITY) const {
    const std::vector<std::string> words = arguments(name, resume);
    std::vector<const char*> argv{HADAL_BINARY};
    for (const std::string& word : words) argv.push_back(word.c_str());
    argv.push_back(nullptr);
    const std::string log = run_.path(name + ".log");
    const pid_t child = fork();
    if (child != 0) return child;
    if (!std::freopen(log.c_str(), "w", stderr) || !std::freopen("/dev/null", "w", stdout)) {
      _exit(126);
    }
    if (file_limit != RLIM_INFINITY) {
      const rlimit limit{file_limit, file_limit};
      setrlimit(RLIMIT_FSIZE, &limit);
    }
    execv(HADAL_BINARY, const_cast<char* const*>(argv.data()));
    _exit(127);
  }

  // Waits until the run has logged `lines` lines, or its process has ended.
  void wait_for_metrics(const std::string& name, pid_t child, int64_t lines) const {
    for (int poll = 0; poll < 60000; ++poll) {
      const std::string text = fs::exists(run_.path(name) + "/metrics.jsonl")
                                   ? test::read_bytes(run_.path(name) + "/metrics.jsonl")
                                   : "";
      if (std::count(text.begin(), text.end(), '\n') >= lines) return;
      siginfo_t info{};
      waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT);
      if (info.si_pid == child) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  int wait(pid_t child) const {
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  std::string last(const std::string& name) const {
    return run_.path(name) + "/checkpoints/" + checkpoint_name(40);
  }
  void expect_same_end(const std::string& a, const std::string& b) const {
    EXPECT_EQ(test::differing_files(last(a), last(b)), std::vector<std::string>{});
  }
  std::string log_of(const std::string& name) const {
    return test::read_bytes(run_.path(name + ".log"));
  }

  test::SmallRun run_;
};

TEST_F(TrainProcess, KilledRunsEndLikeTheOneLeftAlone) {
  const RunResult whole = run_hadal(arguments("whole", false));
  ASSERT_EQ(whole.exit_code, 0) << whole.err;
  EXPECT_EQ(parse_json(whole.out, "stdout").at("step").as_integer(), 40);

  // Line counts between checkpoints, right at one, and before the first.
  for (const int64_t lines : {2, 7, 13, 21, 30}) {
    const bool resume = fs::exists(run_.path("killed") + "/run.toml");
    const pid_t child = start("killed", resume);
    wait_for_metrics("killed", child, lines);
    kill(child, SIGKILL);
    EXPECT_EQ(wait(child), 128 + SIGKILL) << log_of("killed");
  }
  const RunResult rest = run_hadal(arguments("killed", true));
  ASSERT_EQ(rest.exit_code, 0) << rest.err;
  expect_same_end("whole", "killed");
}

TEST_F(TrainProcess, ATerminatedRunSavesAndExitsWith130) {
  const RunResult whole = run_hadal(arguments("whole", false));
  ASSERT_EQ(whole.exit_code, 0) << whole.err;
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
    const std::string name = concat("signal", signal);
    const pid_t child = start(name, false);
    wait_for_metrics(name, child, 10);
    kill(child, signal);
    EXPECT_EQ(wait(child), 130);
    EXPECT_NE(log_of(name).find("go on with hadal train --resume --out"), std::string::npos)
        << log_of(name);
    const RunResult rest = run_hadal(arguments(name, true));
    ASSERT_EQ(rest.exit_code, 0) << rest.err;
    expect_same_end("whole", name);
  }
}

TEST_F(TrainProcess, AFullDiskFailsInOneLineAndKeepsTheLastCheckpoint) {
  const RunResult whole = run_hadal(arguments("whole", false));
  ASSERT_EQ(whole.exit_code, 0) << whole.err;
  const pid_t child = start("full", false);
  wait_for_metrics("full", child, 8);
  kill(child, SIGTERM);
  ASSERT_EQ(wait(child), 130);
  const auto before = checkpoint_steps(run_.path("full") + "/checkpoints");

  // Room for metrics and settings, not for the training state.
  const pid_t limited = start("full", true, 100'000);
  EXPECT_EQ(wait(limited), 1);
  const std::string log = log_of("full");
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 1) << log;
  EXPECT_EQ(log.find(concat("hadal: error: ", run_.path("full"), "/")), 0U) << log;
  EXPECT_EQ(checkpoint_steps(run_.path("full") + "/checkpoints"), before);

  const RunResult rest = run_hadal(arguments("full", true));
  ASSERT_EQ(rest.exit_code, 0) << rest.err;
  expect_same_end("whole", "full");
}

TEST_F(TrainProcess, RefusesAFolderInUse) {
  const pid_t child = start("busy", false);
  wait_for_metrics("busy", child, 1);
  const RunResult second = run_hadal(arguments("busy", true));
  kill(child, SIGKILL);
  wait(child);
  expect_refused(second, {arguments("busy", true), run_.path("busy") + ": another hadal process"});

  expect_refused(
      {{arguments("busy", false), run_.path("busy") + ": already holds a run", "--resume"}});
}

}  // namespace
}  // namespace hadal
