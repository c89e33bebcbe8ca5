// reproduce/train_runs.h: runs of training, those that are missing, several at once.
//
//   OUT/runs/HASH/   a training run (docs/training.md) whose settings have this hash, and summary.json
//                    once it is finished. A finished run is never repeated: more seeds, or another
//                    experiment with the same run, use it again. A run of several phases begins with a
//                    copy of one that has its first phase alone.
#pragma once

#include <string>
#include <vector>

#include "hadal/train/config.h"

namespace hadal {

// Of everything that decides what a run computes: the settings that are not the usual ones, without its
// folder and the cache's. A setting that is new to hadal changes no hash.
std::string settings_hash(const TrainConfig& config);

struct TrainRunsOptions {
  int64_t jobs = 1;     // at once, with a share of the threads each
  bool resume = false;  // go on with runs that were begun
};

// Trains what is not finished among runs whose folders are named by their settings_hash. ConfigError for a
// run that was begun, unless `resume` is set; Interrupted: what was finished stays.
void train_runs(Context& ctx, std::vector<TrainConfig> configs, const TrainRunsOptions& options);

}  // namespace hadal
