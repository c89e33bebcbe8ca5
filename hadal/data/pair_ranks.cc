#include "hadal/data/pair_ranks.h"

#include <algorithm>
#include <bit>

namespace hadal {

PairRanks::PairRanks(const std::vector<BpeMerge>& merges)
    : slots_(std::bit_ceil(std::max<size_t>(merges.size() * 2, 16)), kEmpty),
      mask_(slots_.size() - 1) {
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const uint64_t key = static_cast<uint64_t>(merges[rank].left) << kBits |
                         static_cast<uint64_t>(merges[rank].right);
    uint64_t slot = hash(key) & mask_;
    while (slots_[slot] != kEmpty) slot = (slot + 1) & mask_;
    slots_[slot] = key << kBits | rank;
  }
}

}  // namespace hadal
