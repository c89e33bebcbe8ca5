// parallel/gradient_sync.h: gradients summed over all ranks that hold the parameter, and their exact norm.
//
// Sums run in ascending world rank and lie with each unit's owner alone (parallel/shard_layout.h). Squares
// are added in the order in which one rank adds them: blocks of a parameter ascending, then the
// parameters of the whole model, each once.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "hadal/comm/collectives.h"
#include "hadal/optim/gradient_clip.h"
#include "hadal/parallel/shard_layout.h"

namespace hadal {

// One group of holders as this rank sees it.
struct SyncedGroup {
  HolderGroup layout;
  std::unique_ptr<Communicator> comm;  // of layout.ranks
  size_t me() const { return static_cast<size_t>(comm->rank()); }
  bool is_alone() const { return layout.ranks.size() == 1; }
};
// Made by all ranks together.
std::vector<SyncedGroup> synced_groups(Communicator& world, std::vector<HolderGroup> layouts);

// Of every bucket of groups with several holders: an exchange is started, and finished when a few others
// have been started behind it.
void for_each_exchange(std::vector<SyncedGroup>& groups,
                       FunctionRef<Exchange(SyncedGroup&, const Bucket&)> start,
                       FunctionRef<void(SyncedGroup&, const Bucket&, std::vector<Tensor>)> finish);

// Rows that this rank owns then have the sum of all holders; others still this rank's own part.
void sum_gradients(Context& ctx, std::vector<SyncedGroup>& groups,
                   const std::vector<Trainable>& params);

// A trained parameter of the whole model.
struct TrainedParameter {
  int64_t position;
  std::string name;
};
std::vector<TrainedParameter> trained_parameters(const ModelConfig& config);

// After sum_gradients: the norm of the whole model's gradient, the same bits on every rank. squares: as
// `all`. positions: of params.
GradientNorm summed_gradient_norm(Context& ctx, Communicator& world, const Holders& holders,
                                  std::vector<SyncedGroup>& groups,
                                  const std::vector<Trainable>& params,
                                  const std::vector<int64_t>& positions,
                                  const std::vector<TrainedParameter>& all);

}  // namespace hadal
