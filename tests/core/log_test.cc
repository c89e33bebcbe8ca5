#include "hadal/core/log.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cmath>

namespace hadal {
namespace {

TEST(Log, ProgressBarStaysInItsFrame) {
  EXPECT_EQ(progress_bar(0.5, 10), "#####-----  50 %");
  EXPECT_EQ(progress_bar(0.0, 4), "----   0 %");
  EXPECT_EQ(progress_bar(1.0, 4), "#### 100 %");
  EXPECT_EQ(progress_bar(7.0, 4), "#### 100 %");
  EXPECT_EQ(progress_bar(-1.0, 4), "----   0 %");
  EXPECT_EQ(progress_bar(std::nan(""), 4), "----   0 %");
}

TEST(Log, QuietSilencesNotesAndProgressButNotWarnings) {
  const Terminal kept = terminal();
  set_terminal({.quiet = true});
  testing::internal::CaptureStderr();
  log_note("a note");
  ProgressLine(0.0).show("progress");
  ProgressLine(0.0).finish("done");
  log_warning("careful");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "hadal: warning: careful\n");
  set_terminal(kept);
}

TEST(Log, PlainProgressIsOneLineEachAndATerminalRedraws) {
  const Terminal kept = terminal();
  set_terminal({.stderr_is_tty = false});
  testing::internal::CaptureStderr();
  ProgressLine(0.0).show("step 1");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "step 1\n");
  set_terminal({.stderr_is_tty = true, .columns = 7});
  testing::internal::CaptureStderr();
  {
    ProgressLine line(0.0);
    line.show("step 100000");  // cut to what fits, so that it never wraps
    log_note("between");
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "step 1\r\033[Khadal: between\n");
  set_terminal(kept);
}

TEST(Log, NoColorWins) {
  setenv("FORCE_COLOR", "1", 1);
  EXPECT_TRUE(detect_terminal().colour);
  setenv("NO_COLOR", "1", 1);
  EXPECT_FALSE(detect_terminal().colour);
  unsetenv("NO_COLOR");
  unsetenv("FORCE_COLOR");
}

}  // namespace
}  // namespace hadal
