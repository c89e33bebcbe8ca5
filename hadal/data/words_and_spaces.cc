#include "hadal/data/words_and_spaces.h"

#include <algorithm>
#include <new>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "hadal/core/utf8.h"

namespace hadal {

class CharacterClass {
 public:
  explicit CharacterClass(std::string_view pattern) {
    int error = 0;
    size_t offset = 0;
    code_ = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                          PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED, &error, &offset, nullptr);
    if (code_ == nullptr) throw std::bad_alloc();
  }
  ~CharacterClass() { pcre2_code_free(code_); }
  CharacterClass(const CharacterClass&) = delete;
  CharacterClass& operator=(const CharacterClass&) = delete;

  // Is the character that begins at text[at] in the class?
  bool holds(std::string_view text, size_t at) const {
    pcre2_match_data* match = pcre2_match_data_create(1, nullptr);
    if (match == nullptr) throw std::bad_alloc();
    const auto length = static_cast<size_t>(std::max(1, utf8_character_length(text, at)));
    const int found = pcre2_match(code_, reinterpret_cast<PCRE2_SPTR>(text.data() + at), length, 0,
                                  PCRE2_NO_UTF_CHECK, match, nullptr);
    pcre2_match_data_free(match);
    return found > 0;
  }

 private:
  pcre2_code* code_ = nullptr;
};

WordsAndSpaces::WordsAndSpaces()
    : word_(
          std::make_unique<CharacterClass>(R"([\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{200C}\x{200D}])")),
      space_(std::make_unique<CharacterClass>(R"(\p{White_Space})")) {}
WordsAndSpaces::~WordsAndSpaces() = default;

bool WordsAndSpaces::begins_with_word(std::string_view text) const {
  return !text.empty() && word_->holds(text, 0);
}

bool WordsAndSpaces::ends_with_word(std::string_view text) const {
  return !text.empty() && word_->holds(text, utf8_boundary_at_or_before(text, text.size() - 1));
}

size_t WordsAndSpaces::spaces_at_begin(std::string_view text) const {
  size_t at = 0;
  while (at < text.size() && space_->holds(text, at)) {
    at += static_cast<size_t>(std::max(1, utf8_character_length(text, at)));
  }
  return at;
}

size_t WordsAndSpaces::spaces_at_end(std::string_view text) const {
  size_t begin = text.size();
  while (begin > 0) {
    const size_t character = utf8_boundary_at_or_before(text, begin - 1);
    if (!space_->holds(text, character)) break;
    begin = character;
  }
  return text.size() - begin;
}

}  // namespace hadal
