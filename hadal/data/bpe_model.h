// data/bpe_model.h: byte-pair merging inside one piece, exactly (spec 02 section 3): start from
// single bytes; merge the adjacent pair of lowest rank, the leftmost of equals, until none is left.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace hadal {

struct BpeMerge {
  int32_t left = 0, right = 0, result = 0;  // token ids; the rank is the position in the list
};

class BpeModel {
 public:
  // What encode needs to remember between calls; one per thread.
  class Scratch;

  static constexpr int32_t kMaxTokens =
      1 << 21;  // ids and ranks share a table word with 21 bits each
  static constexpr size_t kMaxMerges = size_t{1} << 21;

  BpeModel() = default;
  // REQUIRES every id below kMaxTokens, distinct (left, right).
  BpeModel(const std::array<int32_t, 256>& byte_tokens, const std::vector<BpeMerge>& merges);

  // Appends the ids of `piece`. `readable_end` bounds the memory that may be read behind it.
  void encode(std::string_view piece, const char* readable_end, Scratch& scratch,
              std::vector<int32_t>& ids) const;

 private:
  static constexpr uint32_t kNoRank = 0xFFFFFFFF;

  uint32_t rank_of(int32_t left, int32_t right) const;
  void merge_short(std::string_view piece, std::vector<int32_t>& ids) const;
  void merge_long(std::string_view piece, Scratch& scratch, std::vector<int32_t>& ids) const;

  std::array<int32_t, 256> byte_tokens_{};
  std::vector<int32_t> result_;           // of the merge of each rank
  std::vector<uint32_t> byte_pair_rank_;  // [256*256]
  std::vector<uint64_t> pairs_;  // open addressing: left << 42 | right << 21 | rank, or kEmpty
  uint64_t pair_mask_ = 0;
};

class BpeModel::Scratch {
 public:
  Scratch();

 private:
  friend class BpeModel;
  // Direct-mapped: a piece of up to 15 bytes with its ids, up to three. Bounded: one slot per hash.
  struct Slot {
    uint64_t low = 0, high = 0;  // the bytes, zero-padded; the length in the top byte of `high`
    int32_t ids[3] = {};
    uint32_t n_ids = 0;
  };
  std::vector<Slot> slots_;
  struct Symbol {
    int32_t id;
    uint32_t next, previous;
    uint32_t rank;  // of the pair (this, next)
  };
  std::vector<Symbol> symbols_;
  std::vector<uint64_t> heap_;
};

}  // namespace hadal
