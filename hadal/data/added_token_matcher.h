// data/added_token_matcher.h: finds added tokens in a raw text: the leftmost, and of those that
// begin there the longest.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "hadal/data/byte_trie.h"
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
  std::optional<Match> find(std::string_view text, size_t from) const;

 private:
  size_t next_start(std::string_view text, size_t from) const;

  ByteTrie trie_;
  bool starts_[256] = {};
  int only_start_ = -1;  // the first byte of all tokens if they share it
};

}  // namespace hadal
