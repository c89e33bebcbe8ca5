// train/spread_run.h: a run on as many ranks as a launcher (mpirun, srun) started, or as [parallel] asks for
// within one process.
#pragma once

#include <optional>

#include "hadal/train/pretrain.h"

namespace hadal {

struct SpreadRun {
  int n_ranks = 1;
  bool by_launcher = false;  // else ranks are threads of this process
  int threads_of_rank = 1;
};
// `threads`: for this process. ConfigError where [parallel] and the ranks do not fit each other.
SpreadRun plan_spread(const TrainConfig& config, int threads);

// As pretrain(), on the host, on the leading rank and as many threads as there are ranks, or as the first
// of a launcher's processes. An error that a rank meets ends all of them, and is thrown once.
Json pretrain_spread(const SpreadRun& spread, const TrainConfig& config, bool resume,
                     const TrainStop& stop = {});

// The other processes of a launcher: they do what the first one says, which alone reads settings and text,
// and speaks.
bool is_led();
void follow_leader(int threads, const TrainConfig::Parallel& settings);

}  // namespace hadal
