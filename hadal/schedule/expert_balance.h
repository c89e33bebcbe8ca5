// schedule/expert_balance.h: how evenly a placement of experts spreads a load over GPUs.
//
// L = MoE layers, N = experts, G = GPUs; loads in any unit (tokens).
#pragma once

#include <cstdint>
#include <vector>

#include "hadal/schedule/expert_placement.h"

namespace hadal {

// The GPU of a slot. Any number of slots is spread as evenly as it goes: 256 experts on 144 GPUs
// are one or two on each.
inline int64_t gpu_of_slot(int64_t slot, int64_t n_slots, int64_t n_gpus) {
  return slot * n_gpus / n_slots;
}
// Load of every GPU [G] from that of every slot [R].
std::vector<double> gpu_sums(const std::vector<double>& load_of_slot, int64_t n_gpus);
// Load of every GPU [G] in one layer, copies sharing equally: load [N], expert_of_slot [R], replica_count [N].
std::vector<double> gpu_loads(const std::vector<double>& load,
                              const std::vector<int32_t>& expert_of_slot,
                              const std::vector<int32_t>& replica_count, int64_t n_gpus);
// The same in every layer, [L][G].
std::vector<std::vector<double>> gpu_loads(const std::vector<std::vector<double>>& load,
                                           const ExpertPlacement& placement, int64_t n_gpus);

// How even a layer's load is over GPUs: mean over maximum (1 = perfect; 1/G = all on one). A layer
// without any load is balanced.
struct Balancedness {
  double mean = 0, worst = 0;        // over layers
  std::vector<double> per_layer;     // [L]
  std::vector<double> heaviest_gpu;  // [L] load of the most loaded GPU over the mean GPU
};
Balancedness balancedness(const std::vector<std::vector<double>>& of_gpus);  // [L][G]
Balancedness balancedness(const std::vector<std::vector<double>>& load,
                          const ExpertPlacement& placement, int64_t n_gpus);

}  // namespace hadal
