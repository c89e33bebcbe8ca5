#include "hadal/core/log.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "hadal/core/clock.h"
#include "hadal/core/in_quotes.h"
#include "hadal/core/number_text.h"

namespace hadal {
namespace {

Terminal& terminal_slot() {
  static Terminal value;
  return value;
}

thread_local int silent_depth = 0;

bool line_is_drawn = false;  // a progress line stands on the terminal without its newline

void clear_drawn_line() {
  if (line_is_drawn) std::fputs("\r\033[K", stderr);
  line_is_drawn = false;
}

// Longest prefix of at most `columns` code points.
std::string clip_columns(const std::string& text, int columns) {
  int seen = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80 && ++seen > columns) {
      return text.substr(0, i);
    }
  }
  return text;
}

}  // namespace

const Terminal& terminal() { return terminal_slot(); }
void set_terminal(const Terminal& value) { terminal_slot() = value; }

Terminal detect_terminal() {
  Terminal result;
  const char* term = std::getenv("TERM");
  const bool dumb = !term || std::strcmp(term, "dumb") == 0;
  result.stderr_is_tty = isatty(STDERR_FILENO) == 1 && !dumb;
  const char* clicolor = std::getenv("CLICOLOR");
  result.colour = result.stderr_is_tty && !(clicolor && std::strcmp(clicolor, "0") == 0);
  if (std::getenv("FORCE_COLOR")) result.colour = true;
  if (const char* no_color = std::getenv("NO_COLOR"); no_color && *no_color) result.colour = false;
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) result.columns = size.ws_col;
  if (const char* columns = std::getenv("COLUMNS")) {
    if (const int value = std::atoi(columns); value > 0) result.columns = value;
  }
  return result;
}

SilentThread::SilentThread() { ++silent_depth; }
SilentThread::~SilentThread() { --silent_depth; }

void log_line(const char* level, const std::string& text) {
  if (silent_depth > 0) return;
  clear_drawn_line();
  std::fprintf(stderr, "hadal: %s%s\n", level, harmless_line(text).c_str());
}

ProgressLine::ProgressLine(double plain_interval_seconds) : interval_(plain_interval_seconds) {
  if (terminal().stderr_is_tty) interval_ = std::min(interval_, 0.1);
  last_ = terminal().stderr_is_tty ? 0.0 : monotonic_seconds();
}

ProgressLine::~ProgressLine() {
  if (drawn_) clear_drawn_line();
  std::fflush(stderr);
}

bool ProgressLine::due() const {
  return !terminal().quiet && monotonic_seconds() - last_ >= interval_;
}

void ProgressLine::show(const std::string& text) {
  if (!due()) return;
  last_ = monotonic_seconds();
  if (terminal().stderr_is_tty) {
    clear_drawn_line();
    std::fputs(clip_columns(text, terminal().columns - 1).c_str(), stderr);
    line_is_drawn = drawn_ = true;
    std::fflush(stderr);
  } else {
    std::fprintf(stderr, "%s\n", text.c_str());
  }
}

void ProgressLine::finish(const std::string& text) {
  if (terminal().quiet) return;
  clear_drawn_line();
  drawn_ = false;
  std::fprintf(stderr, "%s\n", text.c_str());
}

std::string progress_bar(double fraction, int width) {
  fraction = fraction > 0.0 ? std::min(fraction, 1.0) : 0.0;  // NaN too
  const int filled = static_cast<int>(fraction * width);
  return std::string(static_cast<size_t>(filled), '#') +
         std::string(static_cast<size_t>(width - filled), '-') +
         printed(" %3.0f %%", fraction * 100);
}

}  // namespace hadal
