// measure/measure_moves.h: serving on ranks whose load is skewed, with experts in order and with experts that
// move to where the load is (spread/placement_mover.h).
#pragma once

#include "hadal/measure/measurement.h"
#include "hadal/model/config.h"
#include "hadal/parallel/expert_dispatcher.h"

namespace hadal {

struct MeasureMovesOptions {
  ModelConfig model;    // random weights
  int64_t n_ranks = 2;  // threads of this process, with one thread each
  int64_t n_slots =
      0;  // of a layer, once experts have moved; 0: one more a rank than experts in order
  double skew = 0.2;   // added to the route bias of expert e of N: skew (1 - e / N)
  int64_t batch = 16;  // sequences that write on each rank
  int64_t decode_tokens = 192;
  int64_t every_passes = 32;  // between two looks at the loads
  int64_t rounds = 3;         // of both, in turn
  CopyChoice copies = CopyChoice::kShares;
  uint64_t seed = 1;
};

// tokens/s of all ranks and the time between two tokens; with experts that move: before and after they
// did, and the longest wait for a token while some were on their way. Medians of the rounds, the longest of
// all. Throws Error where moving changed a token.
MeasureReport measure_moves(const MeasureMovesOptions& options);

}  // namespace hadal
