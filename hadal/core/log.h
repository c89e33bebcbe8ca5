// core/log.h: messages for people, on stderr. Results go to stdout and nowhere else.
#pragma once

#include <string>

#include "hadal/core/error.h"

namespace hadal {

// Process-wide because stderr is: what main learned from --quiet, the terminal and NO_COLOR.
struct Terminal {
  bool quiet = false;  // --quiet: no progress, no notes; warnings and errors stay
  bool stderr_is_tty = false;
  bool colour = false;  // NO_COLOR, FORCE_COLOR, CLICOLOR, TERM=dumb already weighed
  int columns = 80;
};
const Terminal& terminal();
void set_terminal(const Terminal& value);  // main only
Terminal detect_terminal();                // from the environment

void log_line(const char* level, const std::string& text);
template <class... Parts>
void log_note(const Parts&... parts) {
  if (!terminal().quiet) log_line("", concat(parts...));
}
template <class... Parts>
void log_warning(const Parts&... parts) {
  log_line("warning: ", concat(parts...));
}

// While it lives, this thread logs nothing: a rank beside the one that speaks for all.
class SilentThread {
 public:
  SilentThread();
  ~SilentThread();
  SilentThread(const SilentThread&) = delete;
  SilentThread& operator=(const SilentThread&) = delete;
};

// The live line: redrawn in place on a terminal, one plain line every `plain_interval` seconds
// elsewhere, silent under --quiet. The destructor clears a drawn line.
class ProgressLine {
 public:
  explicit ProgressLine(double plain_interval_seconds = 5.0);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  bool due() const;                      // worth formatting a new text now?
  void show(const std::string& text);    // draws if due
  void finish(const std::string& text);  // a last line that stays

 private:
  double interval_;
  double last_ = 0.0;
  bool drawn_ = false;
};

// "########------  57 %" of `width` cells
std::string progress_bar(double fraction, int width);

}  // namespace hadal
