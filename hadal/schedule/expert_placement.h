// schedule/expert_placement.h: which GPU holds which routed expert, and which experts are held
// twice (the expert-parallel load balancer, EPLB). Pure functions of a load matrix.
// docs/expert_placement.md has the algorithm.
//
// A replica ("physical expert") is one copy of an expert on one slot of one GPU; slots are numbered
// node by node, GPU by GPU. L = MoE layers, N = routed experts, R = replicas in all (a multiple of
// the GPUs), G = GPUs. An expert's load is shared equally by its replicas.
#pragma once

#include <cstdint>
#include <vector>

namespace hadal {

enum class PlacementPolicy : uint8_t {
  kAuto,          // hierarchical where n_groups is a multiple of n_nodes, else global
  kHierarchical,  // the experts of a router group stay on one node, copies included
  kGlobal,        // any expert anywhere
};

struct PlacementShape {
  int64_t n_replicas = 0;  // R per layer: N plus the redundant ones
  int64_t n_groups = 1;    // router groups of experts (n_group)
  int64_t n_nodes = 1;
  int64_t n_gpus = 1;  // G in all; a multiple of n_nodes
  PlacementPolicy policy = PlacementPolicy::kAuto;
  // The published algorithm alone. Its greedy packing can, rarely, end up worse balanced than no
  // redundancy at all; false replaces it in such layers (docs/expert_placement.md).
  bool as_published = false;
};

struct ExpertPlacement {
  std::vector<std::vector<int32_t>> expert_of_slot;  // [L][R]
  std::vector<std::vector<std::vector<int32_t>>>
      slots_of_expert;                              // [L][N][max count], padded with -1
  std::vector<std::vector<int32_t>> replica_count;  // [L][N]
  bool hierarchical = false;                        // groups stayed whole on nodes
  std::vector<int64_t> replaced;  // layers in which the published result was not taken
};

// load: [L][N], finite and not negative. ConfigError names the option that does not divide, or the
// load that is out of range.
ExpertPlacement place_experts(const std::vector<std::vector<double>>& load,
                              const PlacementShape& shape);
// The placement without any load: experts in order, spread as evenly as they go, no redundancy
// (R = N). What balancedness is compared with.
ExpertPlacement place_in_order(int64_t n_layers, int64_t n_experts, int64_t n_gpus);

}  // namespace hadal
