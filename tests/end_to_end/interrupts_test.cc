// Signals: what was done so far stays, and the exit code says that it is not all.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <limits>
#include <thread>

#include "hadal/train/metrics.h"
#include "tests/support/small_run.h"
#include "tests/support/text_model_folder.h"

namespace hadal::testing {
namespace {

// A pipe that is full but for a few bytes: who writes more into it waits until somebody reads.
class NarrowPipe {
 public:
  NarrowPipe() {
    EXPECT_EQ(::pipe(ends_), 0);
    fcntl(ends_[1], F_SETPIPE_SZ, 4096);
    const std::string filling(static_cast<size_t>(fcntl(ends_[1], F_GETPIPE_SZ)) - kRoom, '.');
    filled_ = ::write(ends_[1], filling.data(), filling.size());
    EXPECT_EQ(filled_, std::ssize(filling));
  }
  ~NarrowPipe() {
    close(ends_[0]);
    close_writing_end();
  }
  NarrowPipe(const NarrowPipe&) = delete;
  NarrowPipe& operator=(const NarrowPipe&) = delete;

  int writing_end() const { return ends_[1]; }
  void close_writing_end() {
    if (ends_[1] >= 0) close(ends_[1]);
    ends_[1] = -1;
  }
  bool was_written_to() const {
    int waiting = 0;
    ioctl(ends_[0], FIONREAD, &waiting);
    return waiting > filled_;
  }
  // What was written, without the filling; ends when every writing end is closed.
  std::string read_all() {
    close_writing_end();
    std::string all;
    std::array<char, 4096> piece;
    for (ssize_t n = 0; (n = ::read(ends_[0], piece.data(), piece.size())) > 0;) {
      all.append(piece.data(), static_cast<size_t>(n));
    }
    return all.substr(static_cast<size_t>(filled_));
  }

 private:
  static constexpr size_t kRoom = 8;
  int ends_[2] = {-1, -1};
  ssize_t filled_ = 0;
};

// The answer cannot get past the pipe, so the signal always meets the program on the way.
TEST(Interrupts, AnAnswerThatWasCutShortExitsWith130) {
  const std::string& model = test::text_model_folder();
  NarrowPipe out;
  const pid_t process = fork();
  if (process == 0) {
    dup2(out.writing_end(), STDOUT_FILENO);
    dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
    out.close_writing_end();
    execl(HADAL_BINARY, HADAL_BINARY, "generate", "--model", model.c_str(), "--prompt", "the", "-n",
          "100", "--ignore-eos", "--threads", "1", nullptr);
    _exit(127);
  }
  int status = 0;
  while (!out.was_written_to()) {
    ASSERT_EQ(waitpid(process, &status, WNOHANG), 0) << "it ended before it wrote";
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  kill(process, SIGINT);
  const std::string answer = out.read_all();
  waitpid(process, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 130);
  EXPECT_FALSE(answer.empty());
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
