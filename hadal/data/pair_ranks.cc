#include "hadal/data/pair_ranks.h"

#include <algorithm>
#include <bit>

namespace hadal {

PairRanks::PairRanks(size_t n_merges)
    : slots_(std::bit_ceil(std::max<size_t>(n_merges * 2, 16)), kEmpty), mask_(slots_.size() - 1) {}

bool PairRanks::insert(int32_t left, int32_t right, uint32_t rank) {
  const uint64_t key = static_cast<uint64_t>(left) << kBits | static_cast<uint64_t>(right);
  uint64_t slot = hash(key) & mask_;
  for (; slots_[slot] != kEmpty; slot = (slot + 1) & mask_) {
    if (slots_[slot] >> kBits == key) return false;
  }
  slots_[slot] = key << kBits | rank;
  return true;
}

}  // namespace hadal
