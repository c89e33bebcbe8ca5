// plan/expert_plan.h: where to put the routed experts of every layer, and what it gains over
// putting them in order: `hadal plan experts`.
//
// L = MoE layers, N = experts per layer, R = replicas per layer, G = GPUs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "hadal/core/json.h"
#include "hadal/draw/load_maps.h"
#include "hadal/schedule/expert_balance.h"
#include "hadal/schedule/expert_load.h"
#include "hadal/schedule/expert_placement.h"

namespace hadal {

// What the user said; the rest follows DeepSeek's production deployment (docs/serving_plan.md): eight
// experts and one redundant slot per GPU, eight GPUs per node.
struct ExpertPlanOptions {
  std::optional<int64_t> n_gpus = {};       // default N / 8
  std::optional<int64_t> n_nodes = {};      // default G / 8, or 1 where that does not divide
  std::optional<int64_t> n_replicas = {};   // default N + N / 8, rounded up to a multiple of G
  std::optional<int64_t> n_redundant = {};  // the same said as R - N
  int64_t n_groups = 1;
  PlacementPolicy policy = PlacementPolicy::kAuto;
  bool as_published = false;
};
// ConfigError where the two ways to say R are both taken, or R - N is negative.
PlacementShape placement_shape(const ExpertPlanOptions& options, int64_t n_experts);

struct ExpertPlan {
  LayerLoads loads;                  // that the placement was made for
  std::optional<LayerLoads> judged;  // that all figures are about; none: the same
  PlacementShape shape;
  ExpertPlacement placement;
  std::vector<std::vector<double>> gpu_before, gpu_after;  // [L][G] in order, as placed
  Balancedness before, after;                              // copies share equally
  Balancedness split;  // tokens go to copies by the program (schedule/replica_split.h)
  std::optional<Balancedness> split_ahead;  // by slot_shares, where others than `loads` are judged
  std::vector<std::vector<double>> gpu_split;    // [L][G]
  std::vector<std::vector<double>> slot_shares;  // [L][R] of the program for `loads`
  std::optional<Balancedness> packed;  // by load without redundancy; absent if G does not divide N
  const std::vector<std::vector<double>>& load() const {
    return judged ? judged->load : loads.load;
  }
  int64_t n_experts() const { return static_cast<int64_t>(loads.load.front().size()); }
  int64_t n_redundant() const { return shape.n_replicas - n_experts(); }
  // Time of all layers' experts after over before: a layer is done when its heaviest GPU is.
  double time_share() const { return time_share(gpu_after); }
  double time_share(const std::vector<std::vector<double>>& of_gpus) const;
};
// ConfigError where the loads to judge by are of other layers or experts.
ExpertPlan plan_experts(LayerLoads loads, const PlacementShape& shape,
                        std::optional<LayerLoads> judged = {});

// phy2log [L][R], log2phy [L][N][max count] and logcnt [L][N] are the published balancer's outputs.
Json expert_plan_json(const ExpertPlan& plan);
// Every GPU's load in every layer before and after, and the heaviest GPU of every layer; as bars
// the GPUs of the layer that is worst in order.
LoadMaps expert_load_maps(const ExpertPlan& plan);

}  // namespace hadal
