// data/added_token_matcher.h: finds added tokens in a raw text: the leftmost, and of those that
// begin there the longest. A token may take the white space beside it (lstrip, rstrip), or count only
// where no word character touches it (single_word).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "hadal/data/byte_trie.h"
#include "hadal/data/tokenizer.h"

namespace hadal {

struct AddedTokenRule : AddedToken {
  bool single_word = false, lstrip = false, rstrip = false;
};

class WordsAndSpaces;

class AddedTokenMatcher {
 public:
  struct Match {
    size_t begin, end;  // with the white space it takes
    size_t resume;      // where the next search begins: behind the token itself
    int32_t id;
  };

  AddedTokenMatcher();
  explicit AddedTokenMatcher(const std::vector<AddedTokenRule>& tokens);  // REQUIRES content
  ~AddedTokenMatcher();
  AddedTokenMatcher(AddedTokenMatcher&&) noexcept;
  AddedTokenMatcher& operator=(AddedTokenMatcher&&) noexcept;

  // The first token at or after `from`. White space before `taken` belongs to an earlier match.
  // REQUIRES valid UTF-8.
  std::optional<Match> find(std::string_view text, size_t from, size_t taken) const;

 private:
  struct Flags {
    bool single_word, lstrip, rstrip;
  };
  size_t next_start(std::string_view text, size_t from) const;
  // What [at, end) takes by its flags; nothing if it does not stand by itself.
  std::optional<Match> widened(std::string_view text, size_t at, size_t end, int32_t id,
                               size_t taken) const;

  ByteTrie trie_;
  bool starts_[256] = {};
  int only_start_ = -1;                       // the first byte of all tokens if they share it
  std::unordered_map<int32_t, Flags> flags_;  // of the tokens that have any
  std::unique_ptr<const WordsAndSpaces> words_and_spaces_;
};

}  // namespace hadal
