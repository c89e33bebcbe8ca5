// parallel/gradient_sync.h: gradients summed over all ranks that hold the parameter, and their exact norm.
//
// Sums run in ascending world rank and lie with each unit's owner alone (parallel/shard_layout.h). Squares
// are added in the order in which one rank adds them: blocks of a parameter ascending, then the
// parameters of the whole model, each once.
#pragma once

#include <deque>
#include <memory>
#include <set>
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

// The sums of one step. Rows that this rank owns then have the sum of all holders; others still this rank's
// own part. Buckets leave in one order on all ranks: those of layers from the last layer to the first, then
// the rest. One leaves as soon as its layer's gradients are done and those before it have left, as long as
// few are under way.
class GradientSums {
 public:
  // layers: of params, -1 where a parameter belongs to none. All outlive it.
  GradientSums(Context& ctx, std::vector<SyncedGroup>& groups, const std::vector<Trainable>& params,
               const std::vector<int64_t>& layers);
  void layer_done(int64_t layer);  // its gradients get nothing more on this rank; never waits
  void finish();                   // all gradients are done
 private:
  struct Part {
    SyncedGroup* group;
    size_t bucket;
    int64_t layer;
  };
  struct Started {
    Part part;
    Exchange exchange;
  };
  void start(const Part& part);
  void finish_first();

  Context& ctx_;
  const std::vector<Trainable>& params_;
  std::vector<Part> parts_;  // in the order in which they leave
  size_t next_ = 0;
  std::set<int64_t> done_;
  std::deque<Started> under_way_;
};

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
