// reproduce/repeat.h: a packed run (reproduce/package.h) trained again, and held against what was packed.
#pragma once

#include <string>
#include <vector>

#include "hadal/core/json.h"
#include "hadal/tensor/context.h"

namespace hadal {

struct RepeatOptions {
  std::string out;  // the folder of the new run
  std::vector<std::string>
      data;             // where the text is here, one for each path of the run; empty: as packed
  std::string init;     // where the model is that the run began with; "": as packed
  bool resume = false;  // go on in `out`
};

// The instruction set that the package was made with, for limit_to_recorded_simd(); "" if it was not recorded.
std::string packed_instruction_set(const std::string& package);

// Trains and compares: {"equal": true, "differing": [], ...}. Before a step is taken, ConfigError names the
// first file of the text that is another one, Unavailable says what this machine lacks to give the same bits,
// FormatError what is wrong with the package.
Json repeat_package(Context& ctx, const std::string& package, const RepeatOptions& options);

}  // namespace hadal
