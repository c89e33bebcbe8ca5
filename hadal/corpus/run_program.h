// corpus/run_program.h: another program, started without a shell, so that no name or path is ever
// interpreted.
#pragma once

#include <string>
#include <vector>

namespace hadal {

struct ProgramResult {
  int exit_code = 0;   // 128 + signal if it was ended by one
  std::string output;  // stdout and stderr as they came; the last 64 kB of them
};

// Searches PATH for arguments[0]; runs it in `folder`. Unavailable if there is no such program.
ProgramResult run_program(const std::vector<std::string>& arguments, const std::string& folder);

}  // namespace hadal
