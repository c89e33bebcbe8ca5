// data/words_and_spaces.h: word characters and white space beside an added token, as the regular
// expressions \w and \s of `tokenizers` (Rust) take them: Unicode's, joiners are of the word.
//
// REQUIRES valid UTF-8 everywhere.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

namespace hadal {

class CharacterClass;

class WordsAndSpaces {
 public:
  WordsAndSpaces();
  ~WordsAndSpaces();
  bool begins_with_word(std::string_view text) const;  // false for an empty text
  bool ends_with_word(std::string_view text) const;
  size_t spaces_at_begin(std::string_view text) const;  // bytes
  size_t spaces_at_end(std::string_view text) const;

 private:
  std::unique_ptr<const CharacterClass> word_, space_;
};

}  // namespace hadal
