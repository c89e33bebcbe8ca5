// spread/launched_model.h: a model on the processes that a launcher (mpirun, srun) started, which share its
// experts; or on one process, which has them all. The first ranks may read prompts alone, as a unit that shares
// experts among itself, while the others write behind them (spread/answer_requests.h).
#pragma once

#include <functional>
#include <string>

#include "hadal/infer/text_model.h"
#include "hadal/spread/placement_mover.h"
#include "hadal/spread/rank_turns.h"

namespace hadal {

struct LaunchedModel {
  std::string path;  // a model's folder or a run's
  int n_threads = 1;
  Device device = Device::kCpu;
  bool with_mtp = true;
  int prefill_ranks = 0;  // that read prompts for the others; 0: every rank does both
  // Copies that busy experts of a layer get, on all ranks of a unit together, by the loads that were seen
  // (spread/placement_mover.h); 0: experts stay where they are.
  int64_t redundant_experts = 0;
  int64_t passes_between_looks = 256;  // at the loads
  int thread_ranks = 1;                // without a launcher: ranks that are threads of this process
};

// What one rank runs with. Rank 0 has the terminal.
struct SpreadRank {
  Communicator& world;
  TextModel& text;
  PassTurns& turns;  // of the ranks that it shares experts with
  int prefill_ranks = 0;
  const PlacementMover* mover = nullptr;  // where experts move

  bool leads() const { return world.rank() == 0; }
  bool is_split() const { return prefill_ranks > 0; }
  bool reads_for_others() const { return world.rank() < prefill_ranks; }
  int n_readers() const { return is_split() ? prefill_ranks : world.n_ranks(); }
  // Who writes the answer of a request: of a split, one of the ranks behind the readers.
  int writer_of(int64_t number) const {
    return prefill_ranks + static_cast<int>(number % (world.n_ranks() - prefill_ranks));
  }
};

// How many processes there are, and whether this one is beside the first, which alone complains of what is
// wrong on all of them.
int launched_ranks();
bool is_beside_first();

// Loads every rank's part, runs body on all and returns when all are through; a rank that is through earlier
// takes part in the passes of the others. What a rank throws ends all of them: the job, where there are
// several. ConfigError, before anything is loaded, where the ranks of a unit do not divide the experts or their slots, no rank
// is left to write, or they are to compute on another device than the host.
void run_launched_model(const LaunchedModel& model, const std::function<void(SpreadRank&)>& body);

}  // namespace hadal
