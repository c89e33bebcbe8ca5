// data/bpe_model.h: byte-pair merging inside one piece, exactly: start from single bytes; merge the
// adjacent pair of lowest rank, the leftmost of equals, until none is left.
//
// Three ways with one result: by scanning for the lowest rank (short pieces), by linear search
// (data/linear_bpe.h), and by a heap where the vocabulary does not allow that.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "hadal/core/function_ref.h"
#include "hadal/data/linear_bpe.h"
#include "hadal/data/pair_ranks.h"

namespace hadal {

class BpeModel {
 public:
  class Scratch;  // what encode keeps between calls; one per thread

  static constexpr int32_t kMaxTokens = 1 << PairRanks::kBits;
  static constexpr size_t kMaxMerges = size_t{1} << PairRanks::kBits;

  BpeModel() = default;
  // REQUIRES every id below kMaxTokens, distinct (left, right); `by_bytes` lists all ids in the
  // order of their bytes.
  BpeModel(const std::array<int32_t, 256>& byte_tokens, const std::vector<BpeMerge>& merges,
           const std::vector<int32_t>& by_bytes, FunctionRef<std::string_view(int32_t)> bytes_of);

  // Appends the ids of `piece`. `readable_end` bounds the memory that may be read behind it.
  void encode(std::string_view piece, const char* readable_end, Scratch& scratch,
              std::vector<int32_t>& ids) const;

  // The same without looking pieces up, each way by itself: for tests.
  void encode_by_scan(std::string_view piece, std::vector<int32_t>& ids) const;
  void encode_by_heap(std::string_view piece, Scratch& scratch, std::vector<int32_t>& ids) const;
  bool has_linear() const { return has_linear_; }
  void encode_linear(std::string_view piece, Scratch& scratch, std::vector<int32_t>& ids) const;

  static constexpr size_t kMaxScanBytes = 96;  // up to here scanning beats a heap

 private:
  void encode_uncached(std::string_view piece, Scratch& scratch, std::vector<int32_t>& ids) const;

  std::array<int32_t, 256> byte_tokens_{};
  std::vector<int32_t> result_;           // of the merge of each rank
  std::vector<uint32_t> byte_pair_rank_;  // [256*256]
  PairRanks ranks_;
  LinearBpe linear_;
  bool has_linear_ = false;
};

class BpeModel::Scratch {
 public:
  Scratch();

 private:
  friend class BpeModel;
  // Direct-mapped: a piece of up to 15 bytes with its ids, up to three. One slot per hash, so its
  // size never grows.
  struct Slot {
    uint64_t low = 0, high = 0;  // the bytes, zero-padded; the length in the top byte of `high`
    int32_t ids[3] = {};
    uint32_t n_ids = 0;
  };
  struct Symbol {
    int32_t id;
    uint32_t next, previous;
    uint32_t rank;  // of the pair (this, next)
  };
  std::vector<Slot> slots_;
  std::vector<Symbol> symbols_;
  std::vector<uint64_t> heap_;
  LinearBpe::Scratch linear_;
};

}  // namespace hadal
