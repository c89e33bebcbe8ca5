#include "hadal/core/log.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cmath>

namespace hadal {
namespace {

TEST(Log, BytesHaveThreeFiguresAndAUnit) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(999), "999 B");
  EXPECT_EQ(human_bytes(1500), "1.5 kB");
  EXPECT_EQ(human_bytes(999999), "1.0 MB");
  EXPECT_EQ(human_bytes(123.4e9), "123 GB");
}

TEST(Log, Counts) {
  EXPECT_EQ(human_count(7), "7");
  EXPECT_EQ(human_count(11.8e6), "11.8M");
  EXPECT_EQ(human_count(671.0e9), "671B");
}

TEST(Log, Seconds) {
  EXPECT_EQ(human_seconds(12.4), "12 s");
  EXPECT_EQ(human_seconds(59.6), "1 min 00 s");
  EXPECT_EQ(human_seconds(245), "4 min 05 s");
  EXPECT_EQ(human_seconds(7380), "2 h 03 min");
  EXPECT_EQ(human_seconds(-5), "0 s");
}

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
