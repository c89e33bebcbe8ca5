// reproduce/expert_work.h: how a run's experts shared the work, from the loads in its metrics.
#pragma once

#include "hadal/train/config.h"

namespace hadal {

struct ExpertWork {
  double idle_experts = 0;  // %, of experts with less than a tenth of the mean load
  // %, of the time of `n_ranks` with the experts in order over them: all wait for the fullest, so
  // 1 - mean / fullest, as the planner has it (schedule/expert_balance.h).
  double lost = 0;
};

// Means over the records of the second half of the run, when the first have settled. Error if a record
// does not hold top_k choices for every token of its batch: none may be dropped, in any step.
ExpertWork expert_work(const TrainConfig& run, int64_t n_ranks);

}  // namespace hadal
