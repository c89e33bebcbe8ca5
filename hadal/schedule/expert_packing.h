// schedule/expert_packing.h: the two steps of the expert-parallel load balancer, for one layer or
// one node of it (docs/expert_placement.md, "The algorithm").
#pragma once

#include <cstdint>
#include <vector>

namespace hadal {

// n items into n_packs packs of n / n_packs: heaviest first, into the lightest pack with room; the
// lower index wins a tie. One item per pack: item i into pack i. REQUIRES n_packs divides n.
struct Packing {
  std::vector<int32_t> pack_of, rank_in_pack;  // [n] rank: order of arrival
};
Packing balanced_packing(const std::vector<double>& weight, int64_t n_packs);

// N experts into n_replicas >= N: every expert once, then slot by slot a copy of the expert with
// the largest load per replica; the first one wins a tie.
struct Replication {
  std::vector<int32_t> expert_of, rank_of;  // [n_replicas] rank: which copy of its expert
  std::vector<int32_t> count;               // [N]
};
Replication replicate_experts(const std::vector<double>& weight, int64_t n_replicas);

}  // namespace hadal
