// parallel/expert_placement.h: which GPU holds which routed expert, and which experts are held
// twice (the expert-parallel load balancer, EPLB). Pure functions of a load matrix. spec 04,
// section 8.
//
// A replica ("physical expert") is one copy of an expert on one slot of one GPU; slots are numbered
// node by node, GPU by GPU. L = MoE layers, N = routed experts, R = replicas in all (a multiple of
// the GPUs). An expert's load is shared equally by its replicas.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hadal {

struct PlacementShape {
  int64_t n_replicas = 0;  // R per layer: N plus the redundant ones
  int64_t n_groups = 1;    // router groups of experts (n_group)
  int64_t n_nodes = 1;
  int64_t n_gpus = 1;  // in all; a multiple of n_nodes
};

struct ExpertPlacement {
  std::vector<std::vector<int32_t>> expert_of_slot;  // [L][R]
  std::vector<std::vector<std::vector<int32_t>>>
      slots_of_expert;                              // [L][N][max count], padded with -1
  std::vector<std::vector<int32_t>> replica_count;  // [L][N]
  bool hierarchical = false;                        // groups stayed whole on nodes
};

// load: [L][N], finite and not negative. Hierarchical where n_groups is a multiple of n_nodes, else
// global. ConfigError names the field that does not divide, or the load that is out of range.
ExpertPlacement place_experts(const std::vector<std::vector<double>>& load,
                              const PlacementShape& shape);
// The placement without any load: experts in order, spread evenly, no redundancy
// (n_replicas == N). What balancedness is compared with.
ExpertPlacement place_in_order(int64_t n_layers, int64_t n_experts, int64_t n_gpus);

// How even one layer's load is over GPUs: mean over maximum (1 = perfect; 1/n_gpus = all on one).
struct Balancedness {
  double mean = 0, worst = 0;        // over layers
  std::vector<double> per_layer;     // [L]
  std::vector<double> heaviest_gpu;  // [L] load of the most loaded GPU over the mean GPU
};
Balancedness balancedness(const std::vector<std::vector<double>>& load,
                          const ExpertPlacement& placement, int64_t n_gpus);

// The two steps, exported because they are the published algorithm and tested on their own.
// n items into n_packs packs of n / n_packs: heaviest first, into the lightest pack with room.
struct Packing {
  std::vector<int32_t> pack_of, rank_in_pack;  // [n]
};
Packing balanced_packing(const std::vector<double>& weight, int64_t n_packs);
// Extra slots one by one to the expert with the largest load per replica.
struct Replication {
  std::vector<int32_t> expert_of, rank_of;  // [n_replicas] rank: which copy of its expert
  std::vector<int32_t> count;               // [N]
};
Replication replicate_experts(const std::vector<double>& weight, int64_t n_replicas);

}  // namespace hadal
