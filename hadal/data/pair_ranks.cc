#include "hadal/data/pair_ranks.h"

#include <algorithm>
#include <bit>

namespace hadal {

PairRanks::PairRanks(size_t n_merges)
    : filter_(std::bit_ceil(std::max<size_t>(n_merges / 4, 1))),
      filter_mask_(filter_.size() - 1),
      slots_(std::bit_ceil(std::max<size_t>(n_merges * 2, 16)), kEmpty),
      mask_(slots_.size() - 1) {}

bool PairRanks::insert(int32_t left, int32_t right, uint32_t rank) {
  const uint64_t key = static_cast<uint64_t>(left) << kBits | static_cast<uint64_t>(right);
  const uint64_t h = hash(key);
  uint64_t slot = h & mask_;
  for (; slots_[slot] != kEmpty; slot = (slot + 1) & mask_) {
    if (slots_[slot] >> kBits == key) return false;
  }
  slots_[slot] = key << kBits | rank;
  filter_[filter_word(h)] |= uint64_t{1} << (h & 63);
  return true;
}

}  // namespace hadal
