#include "hadal/data/linear_bpe.h"

#include <algorithm>

namespace hadal {

bool LinearBpe::build(const std::array<int32_t, 256>& byte_tokens,
                      const std::vector<BpeMerge>& merges, const PairRanks& ranks,
                      const std::vector<int32_t>& by_bytes,
                      FunctionRef<std::string_view(int32_t)> bytes_of) {
  byte_tokens_ = byte_tokens;
  tokens_.assign(by_bytes.size(), {});
  lengths_.assign(by_bytes.size(), 0);
  const auto at = [this](int32_t id) -> Token& { return tokens_[static_cast<size_t>(id)]; };
  for (const int32_t id : byte_tokens) {
    at(id).time = 0;
    lengths_[static_cast<size_t>(id)] = 1;
  }
  // A token that exists but that its own bytes never become: some merge across its halves' boundary
  // comes first.
  std::vector<bool> reachable(tokens_.size());
  for (const int32_t id : byte_tokens) reachable[static_cast<size_t>(id)] = true;
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const auto [left, right, result] = merges[rank];
    if (token(left).time == kForever || token(right).time == kForever) return false;
    if (token(result).time != kForever) return false;
    const auto time = static_cast<uint32_t>(rank + 1);
    at(result) = {time, left, right, -1};
    lengths_[static_cast<size_t>(result)] = static_cast<uint32_t>(length(left) + length(right));
    reachable[static_cast<size_t>(result)] = reachable[static_cast<size_t>(left)] &&
                                             reachable[static_cast<size_t>(right)] &&
                                             fit(left, right, time, ranks);
  }
  std::vector<ByteTrie::Entry> entries;
  entries.reserve(by_bytes.size());
  std::vector<int32_t> beginnings;  // tokens that are beginnings of the present one, longest last
  for (const int32_t id : by_bytes) {
    if (!reachable[static_cast<size_t>(id)]) continue;
    const std::string_view bytes = bytes_of(id);
    while (!beginnings.empty() && !bytes.starts_with(bytes_of(beginnings.back()))) {
      beginnings.pop_back();
    }
    if (!beginnings.empty()) at(id).shorter = beginnings.back();
    beginnings.push_back(id);
    entries.emplace_back(bytes, id);
  }
  trie_ = ByteTrie(entries);
  two_bytes_.assign(256 * 256, ByteTrie::kNone);
  for (size_t i = 0; i < two_bytes_.size(); ++i) {
    const uint32_t node = trie_.step(ByteTrie::kRoot, static_cast<char>(i >> 8));
    two_bytes_[i] = trie_.step(node, static_cast<char>(i & 255));
  }
  three_bytes_.assign(1 << 16, ByteTrie::kNone);
  for (uint32_t i = 0x800; i < three_bytes_.size(); ++i) {
    const uint32_t two = two_bytes_[(0xE0 | i >> 12) << 8 | (0x80 | (i >> 6 & 0x3F))];
    if (two == ByteTrie::kNone) continue;
    const uint32_t node = trie_.step(two, static_cast<char>(0x80 | (i & 0x3F)));
    if (trie_.number(node) >= 0) three_bytes_[i] = node;
  }
  return true;
}

bool LinearBpe::fit(int32_t a, int32_t b, uint32_t until, const PairRanks& ranks) const {
  uint32_t a_used = until, b_used = until;  // when each was used up on its other side
  for (;;) {
    const uint32_t rank = ranks.find(a, b);
    if (rank != PairRanks::kNoRank && rank + 1 < a_used && rank + 1 <= b_used) return false;
    const Token& left = token(a);
    const Token& right = token(b);
    if (left.time > right.time) {
      a_used = left.time;
      a = left.right;
    } else if (right.time != 0) {
      b_used = right.time;
      b = right.left;
    } else {
      return true;
    }
  }
}

int32_t LinearBpe::longest(std::string_view text) const {
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(text[i])); };
  int32_t best = byte_tokens_[byte(0)];
  if (text.size() < 2) return best;
  uint32_t node = two_bytes_[byte(0) << 8 | byte(1)];
  size_t i = 2;
  if (text.size() > 2 && (byte(0) & 0xF0) == 0xE0) {  // most ideographs are tokens
    const uint32_t character =
        three_bytes_[(byte(0) & 0xF) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F)];
    if (character != ByteTrie::kNone) {
      node = character;
      i = 3;
    }
  }
  for (; node != ByteTrie::kNone; node = trie_.step(node, text[i++])) {
    if (trie_.number(node) >= 0) best = trie_.number(node);
    if (i == text.size()) break;
  }
  return best;
}

void LinearBpe::encode(std::string_view piece, const PairRanks& ranks, Scratch& scratch,
                       std::vector<int32_t>& ids) const {
  scratch.failed.assign(piece.size() / 64 + 1, 0);
  const auto failed = [&](size_t at) { return (scratch.failed[at / 64] >> (at % 64) & 1) != 0; };
  const size_t before = ids.size();
  size_t at = 0;
  int32_t next = longest(piece);
  while (at < piece.size()) {
    // The longest token from `next` downwards that fits behind the last one and leads on.
    while (next >= 0) {
      const size_t end = at + length(next);
      if (!failed(end) && (ids.size() == before || fit(ids.back(), next, kForever, ranks))) {
        break;
      }
      next = token(next).shorter;
    }
    if (next >= 0) {
      ids.push_back(next);
      at += length(next);
      if (at < piece.size()) next = longest(piece.substr(at));
      continue;
    }
    scratch.failed[at / 64] |= uint64_t{1} << (at % 64);
    next = ids.back();
    at -= length(next);
    ids.pop_back();
    next = token(next).shorter;
  }
}

}  // namespace hadal
