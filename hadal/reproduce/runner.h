// reproduce/runner.h: the runs of an experiment, one after another, and what came of them.
//
//   OUT/runs/HASH/   a training run (docs/training.md) whose settings have this hash, and summary.json
//                    once it is finished. A finished run is never repeated: more seeds, or another
//                    experiment with the same run, use it again. A run of several phases begins with a
//                    copy of one that has its first phase alone.
#pragma once

#include <string>
#include <vector>

#include "hadal/reproduce/experiment.h"

namespace hadal {

struct ReproduceOptions {
  std::string out;
  int64_t seeds = 3;
  Effort effort;  // tokens 0: the experiment's own
  bool resume = false;
};

// Of everything that decides what a run computes: its settings without its folder and the cache's.
std::string settings_hash(const TrainConfig& config);

// Every variant with every seed, and where variants are trained once more the first variant's first
// seed in another order of summation. Interrupted: what was finished stays, `resume` goes on.
// ConfigError if OUT has unfinished runs of this experiment and `resume` is not set.
std::vector<Outcome> run_experiment(Context& ctx, const Experiment& experiment,
                                    const ReproduceOptions& options);

}  // namespace hadal
