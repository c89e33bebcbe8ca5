// data/linear_bpe.h: byte-pair encoding of any piece in time linear in its length, without merging.
//
// Holds for vocabularies in which every token is built in one way, from tokens built before it. Say
// token t exists from time T(t) on: 0 for a byte, 1 + rank for the result of a merge.
//
// Two tokens a, b may stand side by side in a result exactly if no merge ever joins what ends a
// with what begins b. Going back in time from (a, b), the boundary is touched by (u, v), where the
// younger of the two is replaced by its half at the boundary. A merge (u, v) at time m would have
// happened if m came before u was used up by what stands to its left (of equal times the left one
// goes first) and not after v was used up by what stands to its right. The search is over when both
// are bytes.
//
// A sequence whose neighbours all fit is the result, and so is each of its beginnings: for every
// prefix of the piece there is one sequence, so a depth-first search (longest token first) that
// notes the positions from which it failed visits each position once.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "hadal/core/function_ref.h"
#include "hadal/data/byte_trie.h"
#include "hadal/data/pair_ranks.h"

namespace hadal {

class LinearBpe {
 public:
  struct Scratch {
    std::vector<uint64_t> failed;  // one bit per position
  };

  LinearBpe() = default;
  // False if the vocabulary is not of the kind above; then encode must not be called.
  bool build(const std::array<int32_t, 256>& byte_tokens, const std::vector<BpeMerge>& merges,
             const PairRanks& ranks, const std::vector<int32_t>& by_bytes,
             FunctionRef<std::string_view(int32_t)> bytes_of);

  void encode(std::string_view piece, const PairRanks& ranks, Scratch& scratch,
              std::vector<int32_t>& ids) const;

 private:
  static constexpr uint32_t kForever = 0xFFFFFFFF;
  struct Token {                    // four words: never across two cache lines
    uint32_t time = kForever;       // kForever: never comes out of a merge
    int32_t left = -1, right = -1;  // halves
    int32_t shorter = -1;           // the longest token that is a beginning of this one
  };

  const Token& token(int32_t id) const { return tokens_[static_cast<size_t>(id)]; }
  // `until`: merges from that time on do not count.
  bool fit(int32_t a, int32_t b, uint32_t until, const PairRanks& ranks) const;
  int32_t longest(std::string_view text) const;

  size_t length(int32_t id) const { return lengths_[static_cast<size_t>(id)]; }

  std::vector<Token> tokens_;
  std::vector<uint32_t> lengths_;
  ByteTrie trie_;
  std::vector<uint32_t> two_bytes_;    // the trie's node after the first two bytes, [256*256]
  std::vector<uint32_t> three_bytes_;  // the same after a character of three bytes, [65536]
  std::array<int32_t, 256> byte_tokens_{};
};

}  // namespace hadal
