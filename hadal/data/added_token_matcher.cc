#include "hadal/data/added_token_matcher.h"

#include <algorithm>
#include <cstring>

#include "hadal/data/words_and_spaces.h"

namespace hadal {

AddedTokenMatcher::AddedTokenMatcher() = default;
AddedTokenMatcher::~AddedTokenMatcher() = default;
AddedTokenMatcher::AddedTokenMatcher(AddedTokenMatcher&&) noexcept = default;
AddedTokenMatcher& AddedTokenMatcher::operator=(AddedTokenMatcher&&) noexcept = default;

AddedTokenMatcher::AddedTokenMatcher(const std::vector<AddedTokenRule>& tokens) {
  std::vector<ByteTrie::Entry> entries;
  for (const AddedTokenRule& token : tokens) {
    entries.emplace_back(token.content, token.id);
    if (token.single_word || token.lstrip || token.rstrip) {
      flags_[token.id] = {token.single_word, token.lstrip, token.rstrip};
    }
  }
  if (!flags_.empty()) words_and_spaces_ = std::make_unique<WordsAndSpaces>();
  std::sort(entries.begin(), entries.end());
  trie_ = ByteTrie(entries);
  const std::string_view starts = trie_.first_bytes();
  for (const char c : starts) starts_[static_cast<uint8_t>(c)] = true;
  if (starts.size() == 1) only_start_ = static_cast<uint8_t>(starts[0]);
}

size_t AddedTokenMatcher::next_start(std::string_view text, size_t from) const {
  if (from >= text.size() || trie_.empty()) return text.size();
  if (only_start_ >= 0) {
    const void* found = std::memchr(text.data() + from, only_start_, text.size() - from);
    if (found == nullptr) return text.size();
    return static_cast<size_t>(static_cast<const char*>(found) - text.data());
  }
  while (from < text.size() && !starts_[static_cast<uint8_t>(text[from])]) ++from;
  return from;
}

std::optional<AddedTokenMatcher::Match> AddedTokenMatcher::widened(std::string_view text, size_t at,
                                                                   size_t end, int32_t id,
                                                                   size_t taken) const {
  const auto found = flags_.find(id);
  if (found == flags_.end()) return Match{at, end, end, id};
  const Flags& flags = found->second;
  const std::string_view before = text.substr(0, at), after = text.substr(end);
  if (flags.single_word &&
      (words_and_spaces_->ends_with_word(before) || words_and_spaces_->begins_with_word(after))) {
    return std::nullopt;
  }
  Match match{at, end, end, id};
  if (flags.lstrip) match.begin = std::max(taken, at - words_and_spaces_->spaces_at_end(before));
  if (flags.rstrip) match.end += words_and_spaces_->spaces_at_begin(after);
  return match;
}

std::optional<AddedTokenMatcher::Match> AddedTokenMatcher::find(std::string_view text, size_t from,
                                                                size_t taken) const {
  for (size_t at = next_start(text, from); at < text.size(); at = next_start(text, at + 1)) {
    size_t end = 0;
    int32_t id = -1;
    uint32_t node = ByteTrie::kRoot;
    for (size_t i = at; i < text.size(); ++i) {
      node = trie_.step(node, text[i]);
      if (node == ByteTrie::kNone) break;
      if (trie_.number(node) >= 0) {
        end = i + 1;
        id = trie_.number(node);
      }
    }
    if (id < 0) continue;
    if (const auto match = widened(text, at, end, id, taken)) return match;
    at = end - 1;  // a token that touches a word is passed over as a whole
  }
  return std::nullopt;
}

}  // namespace hadal
