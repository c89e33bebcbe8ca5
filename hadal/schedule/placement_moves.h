// schedule/placement_moves.h: from one placement of experts to the next with few experts moved. Placements are
// lists of the expert on every slot; GPUs hold equally many slots in order, nodes equally many GPUs.
#pragma once

#include <cstdint>
#include <vector>

namespace hadal {

// The placement `next`, with its GPUs renumbered within their nodes and its slots within their GPUs: every
// GPU holds what some GPU of its node held before, so balance and nodes stay, and the pairs that share most
// experts with `current` come first. `current` may have another number of slots. REQUIRES that n_gpus divides
// both, and n_nodes n_gpus.
std::vector<int32_t> stay_in_place(const std::vector<int32_t>& next,
                                   const std::vector<int32_t>& current, int64_t n_gpus,
                                   int64_t n_nodes);

// A copy of an expert that a GPU must get from another one: all that it has not held before, once each.
struct ExpertMove {
  int32_t expert = 0, from = 0, to = 0;  // GPUs
  bool operator==(const ExpertMove&) const = default;
};
// In ascending (to, slot). Experts with several holders are sent by each of them in turn.
std::vector<ExpertMove> moves_between(const std::vector<int32_t>& current,
                                      const std::vector<int32_t>& next, int64_t n_gpus);

}  // namespace hadal
