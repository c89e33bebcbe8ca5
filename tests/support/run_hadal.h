// tests/support/run_hadal.h: the real binary as a child process.
#pragma once

#include <string>
#include <vector>

namespace hadal::testing {

struct RunResult {
  int exit_code = -1;  // 128 + signal when a signal ended it
  std::string out, err;
};

// Runs the built hadal with these arguments; `input` is its stdin, `environment` adds NAME=value
// pairs.
RunResult run_hadal(const std::vector<std::string>& arguments, const std::string& input = "",
                    const std::vector<std::string>& environment = {});

// A call that is wrong, and what hadal must say: its error begins with the option, file or place
// that is meant, and `hint` stands somewhere behind that.
struct Refused {
  std::vector<std::string> arguments;
  std::string names;  // "--max-tokens: out of range", "FILE: line 3"
  std::string hint = "";
  int exit_code = 2;    // 1: not the call is wrong, the work failed
  bool prints = false;  // a result, before a file of it could not be written
};

// Nothing on stdout, as the last line of stderr "hadal: error: <names...>", without control characters.
void expect_refused(const RunResult& result, const Refused& want);
void expect_refused(const std::vector<Refused>& calls, const std::vector<std::string>& command = {},
                    const std::string& input = "");

}  // namespace hadal::testing
