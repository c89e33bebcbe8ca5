// data/added_token_matcher.h: finds added tokens in a raw text: the leftmost, and of those that
// begin there the longest.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "hadal/data/tokenizer.h"

namespace hadal {

class AddedTokenMatcher {
 public:
  struct Match {
    size_t at, length;
    int32_t id;
  };

  AddedTokenMatcher() = default;
  explicit AddedTokenMatcher(const std::vector<AddedToken>& tokens);  // REQUIRES no empty content

  bool empty() const { return nodes_.empty(); }
  std::optional<Match> find(std::string_view text, size_t from) const;

 private:
  // A trie. Sorted edges of one node stand together in edges_.
  struct Node {
    uint32_t first_edge = 0, n_edges = 0;
    int32_t id = -1;
  };
  struct Edge {
    uint8_t byte;
    uint32_t node;
  };
  uint32_t step(uint32_t node, char byte) const;  // 0: none (no edge leads back to the root)
  size_t next_start(std::string_view text, size_t from) const;

  std::vector<Node> nodes_;
  std::vector<Edge> edges_;
  bool starts_[256] = {};
  int only_start_ = -1;  // the first byte of all tokens if they share it
};

}  // namespace hadal
