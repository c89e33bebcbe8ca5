// schedule/replica_split.h: how a layer's tokens are split over the copies of their experts, for a
// given placement: equally, or so that the heaviest GPU has as little as it can.
//
// N = experts, R = slots, G = GPUs; loads in any unit. docs/expert_placement.md, "Tokens among copies".
#pragma once

#include <cstdint>
#include <vector>

namespace hadal {

// Load of every slot [R]: load [N], expert_of_slot [R].
std::vector<double> split_equally(const std::vector<double>& load,
                                  const std::vector<int32_t>& expert_of_slot);

//   minimise  max_g sum_{slots s of g} x_s   over  x >= 0,  sum_{slots s of e} x_s = load_e
//
// Exact up to rounding: `bound` is the dual solution, the mean load of a set of GPUs whose experts have
// copies nowhere else, so no split has a lighter heaviest GPU.
struct MinMaxSplit {
  std::vector<double> load_of_slot;  // [R]
  double bound = 0.0;
};
// REQUIRES a slot for every expert that has a load.
MinMaxSplit split_by_program(const std::vector<double>& load,
                             const std::vector<int32_t>& expert_of_slot, int64_t n_gpus);

// The part of its expert's load that a slot takes [R]; equal parts of an expert without load.
std::vector<double> slot_shares(const std::vector<double>& load_of_slot,
                                const std::vector<int32_t>& expert_of_slot, int64_t n_experts);

}  // namespace hadal
