// spread/launched_model.h: a model on the processes that a launcher (mpirun, srun) started, which share its
// experts; or on one process, which has them all.
#pragma once

#include <functional>
#include <string>

#include "hadal/infer/text_model.h"
#include "hadal/spread/rank_turns.h"

namespace hadal {

struct LaunchedModel {
  std::string path;  // a model's folder or a run's
  int n_threads = 1;
  Device device = Device::kCpu;
  bool with_mtp = true;
};

// What one rank runs with. Rank 0 has the terminal.
struct SpreadRank {
  Communicator& world;
  TextModel& text;
  PassTurns& turns;

  bool leads() const { return world.rank() == 0; }
};

// How many processes there are, and whether this one is beside the first, which alone complains of what is
// wrong on all of them.
int launched_ranks();
bool is_beside_first();

// Loads every rank's part, runs body on all and returns when all are through; a rank that is through earlier
// takes part in the passes of the others. What a rank throws ends all of them: the job, where there are
// several. ConfigError, before anything is loaded, where the ranks do not divide the experts, or are to
// compute on another device than the host.
void run_launched_model(const LaunchedModel& model, const std::function<void(SpreadRank&)>& body);

}  // namespace hadal
