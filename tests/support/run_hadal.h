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

// The one-line form every error has: "hadal: error: <...>\n" as the last line of stderr.
bool is_one_line_error(const RunResult& result);

}  // namespace hadal::testing
