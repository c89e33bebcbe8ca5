// parallel/step_losses.h: the losses and loads of one step, of which every rank has computed a part, added
// up as one rank adds them: micro-batch by micro-batch, and of each the balance loss layer by layer. So
// they are the bits of one rank that had the same micro-batches.
#pragma once

#include <vector>

#include "hadal/model/config.h"
#include "hadal/model/loss.h"
#include "hadal/parallel/layout.h"

namespace hadal {

// What one micro-batch adds to the losses. What other ranks compute is 0 here.
struct MicroBatchLosses {
  double ce = 0.0;
  std::vector<double> mtp;      // [n_mtp]
  std::vector<double> balance;  // [n_layers + n_mtp]
};

struct StepLosses {
  std::vector<MicroBatchLosses> micro_batches;
  ExpertLoad load;  // of them all; [n_layers + n_mtp], rows of dense layers empty

  static StepLosses none(const ModelConfig& config, size_t n_micro_batches);
};

struct StepTotals {
  LossParts loss;
  ExpertLoad load;
};
StepTotals add_up(const StepLosses& losses);  // REQUIRES all of its parts

// Of all ranks, on every rank the same. `own` has the micro-batches of one replica, [q M, (q+1) M) of the
// step's for replica q = at.replica.
StepTotals gather_losses(const ParallelConfig& config, RankCoordinates at, Communicator& world,
                         const StepLosses& own, Arena& arena);

}  // namespace hadal
