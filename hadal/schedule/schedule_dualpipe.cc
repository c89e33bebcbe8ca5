// DualPipe: micro-batches enter at both ends of the pipeline and meet in the middle, so that the
// communication of one direction hides under the computation of the other.
//
// Rank r holds stage r for direction 0 (rank 0 to P-1, micro-batches 0 .. M/2-1) and stage P-1-r
// for direction 1. In the first half of the ranks phase 0 is direction 0, in the second half
// direction 1.
#include <algorithm>

#include "hadal/schedule/dualpipe_steps.h"

namespace hadal {

std::vector<Action> schedule_dualpipe(int32_t n_stages, int32_t n_micro_batches, int32_t rank) {
  ScheduleWriter out(ScheduleKind::kDualPipe, n_stages, n_micro_batches, rank);
  const int32_t mirror = n_stages - 1 - rank;
  DualPipeRank r;
  r.depth = std::min(rank, mirror);
  r.half = n_stages / 2;
  r.per_phase = n_micro_batches / 2;
  r.first = {{{rank, 0}, {mirror, r.per_phase}}};
  if (rank >= r.half) std::swap(r.first[0], r.first[1]);
  return dualpipe_steps(std::move(out), r);
}

}  // namespace hadal
