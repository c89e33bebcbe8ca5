// Ctrl-C at an answer: what was written stays, and the exit code says that it is not all.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

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
  for (int delay = 2; delay <= 400 && !seen; delay += 2) {
    const int status = interrupted_after(std::chrono::milliseconds(delay));
    if (WIFSIGNALED(status)) continue;
    ASSERT_TRUE(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 130) << WEXITSTATUS(status);
    seen = WEXITSTATUS(status) == 130;
  }
  EXPECT_TRUE(seen);
}

}  // namespace
}  // namespace hadal::testing
