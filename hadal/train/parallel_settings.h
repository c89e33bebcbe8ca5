// train/parallel_settings.h: [parallel], how a run spreads over ranks (parallel/layout.h).
#pragma once

#include "hadal/comm/slow_link.h"
#include "hadal/model/stage.h"
#include "hadal/parallel/expert_dispatcher.h"
#include "hadal/parallel/layout.h"
#include "hadal/train/config.h"

namespace hadal {

void add_parallel_settings(std::vector<Setting>& table, TrainConfig::Parallel& parallel);

// What does not depend on how many ranks there are.
void validate_parallel(const TrainConfig& config);

// The layout over `started` ranks of a launcher, or over as many as the settings ask for when nobody
// started any (0). Before anything is allocated: ConfigError where the layout, the shape, the schedule
// or the batch of a phase do not fit each other.
ParallelConfig parallel_layout(const TrainConfig& config, const ModelConfig& shape, int started);

SlowLink slow_link(const TrainConfig::Parallel& p);  // parallel.link_*
int64_t stages_of(const ParallelConfig& layout);
std::vector<StageCut> stage_cuts(const ParallelConfig& layout, const ModelConfig& shape);
// What travels between tokens and experts, and which way; node_of: of the expert group's ranks.
ExpertExchange expert_exchange(const TrainConfig& config, std::vector<int> node_of);
bool goes_by_nodes(const std::string& route, const std::vector<int>& node_of);  // parallel.route
// Micro-batches of one replica in a batch of n_sequences. REQUIRES a layout that parallel_layout accepted.
int64_t replica_micro_batches(const TrainConfig& config, const ParallelConfig& layout,
                              int64_t n_sequences);

}  // namespace hadal
