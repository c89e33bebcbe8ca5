// parallel/holders.h: which parameters a rank holds, and which ranks hold a parameter. Pure: everybody
// computes the same from the settings.
//
// All ranks that hold a parameter have a part of its gradient, which is the sum over them: the replicas
// of its place in the pipeline, both places of a stage under DualPipe, both ends for an embedding that
// MTP modules or a tied head read. An expert's holders are those of its layer with its expert index.
#pragma once

#include <span>
#include <vector>

#include "hadal/model/deepseek_v3.h"
#include "hadal/model/stage.h"
#include "hadal/parallel/layout.h"

namespace hadal {

// The model cut into the schedule's stages; of these the schedule says which place holds what.
struct CutModel {
  const ModelConfig& config;
  const PipelineSchedule& schedule;
  std::span<const StageCut> cuts;  // [schedule.n_stages]
};

HeldPart part_of_rank(const ParallelConfig& config, const CutModel& model, int rank);

struct Holders {
  std::vector<std::vector<int>> groups;  // world ranks, ascending; no two the same, in the order in
                                         // which the whole model's parameters need them
  std::vector<size_t> group_of;          // [parameters of the whole model]

  const std::vector<int>& of(int64_t position) const {
    return groups[group_of[static_cast<size_t>(position)]];
  }
  // The one that speaks for a parameter where all its holders have the same value of something.
  int first_of(int64_t position) const { return of(position).front(); }
};
Holders holders_of(const ParallelConfig& config, const CutModel& model);

}  // namespace hadal
