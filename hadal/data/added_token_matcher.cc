#include "hadal/data/added_token_matcher.h"

#include <algorithm>
#include <cstring>

namespace hadal {

AddedTokenMatcher::AddedTokenMatcher(const std::vector<AddedToken>& tokens) {
  std::vector<ByteTrie::Entry> entries;
  for (const AddedToken& token : tokens) entries.emplace_back(token.content, token.id);
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

std::optional<AddedTokenMatcher::Match> AddedTokenMatcher::find(std::string_view text,
                                                                size_t from) const {
  for (size_t at = next_start(text, from); at < text.size(); at = next_start(text, at + 1)) {
    std::optional<Match> longest;
    uint32_t node = ByteTrie::kRoot;
    for (size_t i = at; i < text.size(); ++i) {
      node = trie_.step(node, text[i]);
      if (node == ByteTrie::kNone) break;
      if (trie_.number(node) >= 0) longest = Match{at, i + 1 - at, trie_.number(node)};
    }
    if (longest) return longest;
  }
  return std::nullopt;
}

}  // namespace hadal
