// data/pair_ranks.h: the rank of a merge by its two tokens, in one cache line per look-up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace hadal {

struct BpeMerge {
  int32_t left = 0, right = 0, result = 0;  // token ids; the rank is the position in the list
};

class PairRanks {
 public:
  static constexpr int kBits = 21;  // two ids and a rank share a word
  static constexpr uint32_t kNoRank = 0xFFFFFFFF;

  explicit PairRanks(size_t n_merges = 0);
  // REQUIRES fewer than n_merges pairs so far. False, and nothing changes, if the pair is known.
  bool insert(int32_t left, int32_t right, uint32_t rank);

  uint32_t find(int32_t left, int32_t right) const {
    const uint64_t key = static_cast<uint64_t>(left) << kBits | static_cast<uint64_t>(right);
    const uint64_t h = hash(key);
    if ((filter_[filter_word(h)] >> (h & 63) & 1) == 0) return kNoRank;
    for (uint64_t slot = h & mask_;; slot = (slot + 1) & mask_) {
      const uint64_t entry = slots_[slot];
      if (entry >> kBits == key) return static_cast<uint32_t>(entry & ((1U << kBits) - 1));
      if (entry == kEmpty) return kNoRank;
    }
  }

 private:
  static constexpr uint64_t kEmpty = ~uint64_t{0};
  static uint64_t hash(uint64_t key) {
    key *= 0x9E3779B97F4A7C15U;
    return key ^ (key >> 29);
  }

  uint64_t filter_word(uint64_t h) const { return (h >> 32) & filter_mask_; }

  // Most pairs asked for are no merge: sixteen bits a merge, one of them set, answer nearly all of
  // those from the second-level cache.
  std::vector<uint64_t> filter_;
  uint64_t filter_mask_ = 0;
  std::vector<uint64_t> slots_;  // left << 42 | right << 21 | rank
  uint64_t mask_ = 0;
};

}  // namespace hadal
