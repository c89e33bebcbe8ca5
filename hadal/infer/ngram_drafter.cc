#include "hadal/infer/ngram_drafter.h"

#include <algorithm>
#include <utility>

namespace hadal {
namespace {

// Of a table with 2^bits places.
size_t slot_of(std::span<const int32_t> suffix, size_t table_size) {
  uint64_t hash = suffix.size();
  for (const int32_t token : suffix) {
    hash = (hash ^ static_cast<uint32_t>(token)) * 0x9E3779B97F4A7C15U;
    hash ^= hash >> 29;
  }
  return static_cast<size_t>(hash) & (table_size - 1);
}

std::span<const int32_t> suffix_at(std::span<const int32_t> tokens, int64_t end, int64_t length) {
  return tokens.subspan(static_cast<size_t>(end - length), static_cast<size_t>(length));
}

// Puts a place in and returns the one that was there.
int32_t exchange_place(std::vector<int32_t>& table, std::span<const int32_t> suffix,
                       int64_t place) {
  return std::exchange(table[slot_of(suffix, table.size())], static_cast<int32_t>(place));
}

}  // namespace

// Twice the room that is needed: every token is entered again once on average.
void NgramDrafter::grow(std::span<const int32_t> tokens) {
  size_t size = 64;
  while (size < 4 * tokens.size()) size *= 2;
  for (int64_t length = kShortest; length <= kLongest; ++length) {
    Table& table = tables_[static_cast<size_t>(length - kShortest)];
    table.assign(size, 0);
    for (int64_t end = length; end <= n_seen_; ++end) {
      exchange_place(table, suffix_at(tokens, end, length), end);
    }
  }
}

void NgramDrafter::observe(std::span<const int32_t> tokens) {
  const int64_t n = static_cast<int64_t>(tokens.size());
  if (2 * tokens.size() > tables_[0].size()) grow(tokens);
  for (int64_t end = n_seen_ + 1; end <= n; ++end) {
    match_length_ = 0;
    for (int64_t length = kShortest; length <= std::min(kLongest, end); ++length) {
      const auto suffix = suffix_at(tokens, end, length);
      Table& table = tables_[static_cast<size_t>(length - kShortest)];
      const int32_t before = exchange_place(table, suffix, end);
      if (before != 0 && std::ranges::equal(suffix, suffix_at(tokens, before, length))) {
        match_length_ = length;
        match_place_ = before;
      }
    }
  }
  n_seen_ = n;
}

std::vector<int32_t> NgramDrafter::propose(std::span<const int32_t> tokens, int64_t most) const {
  std::vector<int32_t> drafts;
  if (match_length_ == 0) return drafts;
  const size_t n = tokens.size();
  for (size_t i = 0; i < static_cast<size_t>(most); ++i) {
    const size_t place = static_cast<size_t>(match_place_) + i;
    drafts.push_back(place < n ? tokens[place] : drafts[place - n]);
  }
  return drafts;
}

}  // namespace hadal
