// train/run_history.h: RUN/made_by.json, what a run was computed with: its bits depend on it.
//
//   [{"from_step": 0, "version": "0.1.0", "build": XXH3-64 of the program, "compiler": "12.2.0",
//     "instruction_set": "avx512", "device": "cpu", "ranks": 1, "threads": 2, "settings": hash}, ...]
//
// One entry from the beginning, another where a session that went on differs in anything but threads,
// on whose number no bit depends: of each rank. "settings" is a hash of what decides numbers in run.toml.
#pragma once

#include <string>

#include "hadal/core/json.h"
#include "hadal/tensor/context.h"
#include "hadal/train/config.h"

namespace hadal {

// Of this process, without from_step. REQUIRES a settled `config` (train/run_start.h).
Json circumstances(const Context& ctx, const TrainConfig& config, int n_ranks);
// Of an entry; 1 in those of runs that knew no ranks.
int recorded_ranks(const Json& entry);

// `now` holds from `step` on; what an abandoned future of the run had is forgotten.
void record_circumstances(const std::string& run_folder, int64_t step, Json now);

// The entries; an empty list for a run without a record.
Json read_run_history(const std::string& run_folder);

}  // namespace hadal
