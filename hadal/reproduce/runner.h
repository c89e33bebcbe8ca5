// reproduce/runner.h: an experiment from its runs (reproduce/train_runs.h) to what came of them.
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
  int64_t jobs = 1;  // runs at once, with a share of the threads each
};

// Every variant with every seed, and where variants are trained once more the first variant's first
// seed in another order of summation. Interrupted: what was finished stays, `resume` goes on.
// ConfigError if OUT has unfinished runs of this experiment and `resume` is not set.
std::vector<Outcome> run_experiment(Context& ctx, const Experiment& experiment,
                                    const ReproduceOptions& options);

}  // namespace hadal
