// DualPipeV: DualPipe folded at its middle. Half as many ranks, each with stage r of the way there
// (phase 0) and stage 2P-1-r of the way back (phase 1); no parameter is stored twice, all
// micro-batches enter at rank 0, and the loss is computed there.
#include "hadal/schedule/dualpipe_steps.h"

namespace hadal {

std::vector<Action> schedule_dualpipev(int32_t n_stages, int32_t n_micro_batches, int32_t rank) {
  ScheduleWriter out(ScheduleKind::kDualPipeV, n_stages, n_micro_batches, rank);
  DualPipeRank r;
  r.depth = rank;
  r.half = n_stages / 2;
  r.per_phase = n_micro_batches;
  r.first = {{{rank, 0}, {n_stages - 1 - rank, 0}}};
  return dualpipe_steps(std::move(out), r);
}

}  // namespace hadal
