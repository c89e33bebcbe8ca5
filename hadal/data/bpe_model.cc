#include "hadal/data/bpe_model.h"

#include <algorithm>
#include <cstring>
#include <functional>

namespace hadal {
namespace {

constexpr size_t kMaxCachedBytes = 15;
constexpr size_t kCacheSlots = size_t{1} << 15;
constexpr uint32_t kNoRank = PairRanks::kNoRank;
constexpr uint32_t kNoSymbol = 0xFFFFFFFF;

uint64_t scatter(uint64_t x) {
  x *= 0x9E3779B97F4A7C15U;
  return x ^ (x >> 29);
}

}  // namespace

BpeModel::Scratch::Scratch() : slots_(kCacheSlots) {}

BpeModel::BpeModel(const std::array<int32_t, 256>& byte_tokens, const std::vector<BpeMerge>& merges,
                   const std::vector<int32_t>& by_bytes,
                   FunctionRef<std::string_view(int32_t)> bytes_of)
    : byte_tokens_(byte_tokens), byte_pair_rank_(256 * 256), ranks_(merges.size()) {
  result_.reserve(merges.size());
  for (const BpeMerge& merge : merges) {
    ranks_.insert(merge.left, merge.right, static_cast<uint32_t>(result_.size()));
    result_.push_back(merge.result);
  }
  for (size_t i = 0; i < byte_pair_rank_.size(); ++i) {
    byte_pair_rank_[i] = ranks_.find(byte_tokens_[i >> 8], byte_tokens_[i & 255]);
  }
  has_linear_ = linear_.build(byte_tokens, merges, ranks_, by_bytes, bytes_of);
}

void BpeModel::encode(std::string_view piece, const char* readable_end, Scratch& scratch,
                      std::vector<int32_t>& ids) const {
  const size_t size = piece.size();
  if (size == 1) {
    ids.push_back(byte_tokens_[static_cast<uint8_t>(piece[0])]);
    return;
  }
  if (size > kMaxCachedBytes) {
    encode_uncached(piece, scratch, ids);
    return;
  }
  uint64_t word[2] = {0, 0};
  if (readable_end - piece.data() >= 16) {
    std::memcpy(word, piece.data(), 16);
    const uint64_t keep = ~uint64_t{0} >> (64 - 8 * (size & 7)) % 64;
    if (size < 8) {
      word[0] &= keep;
      word[1] = 0;
    } else {
      word[1] = size == 8 ? 0 : word[1] & keep;
    }
  } else {
    std::memcpy(word, piece.data(), size);
  }
  word[1] |= static_cast<uint64_t>(size) << 56;
  const uint64_t hash = scatter(word[0] ^ scatter(word[1]));
  Scratch::Slot& slot = scratch.slots_[(hash >> 20) & (kCacheSlots - 1)];
  if (slot.low != word[0] || slot.high != word[1]) {
    const size_t before = ids.size();
    encode_by_scan(piece, ids);
    const size_t n = ids.size() - before;
    if (n > 3) return;
    slot.low = word[0];
    slot.high = word[1];
    slot.n_ids = static_cast<uint32_t>(n);
    std::copy(ids.end() - static_cast<std::ptrdiff_t>(n), ids.end(), slot.ids);
    return;
  }
  ids.insert(ids.end(), slot.ids, slot.ids + slot.n_ids);
}

void BpeModel::encode_uncached(std::string_view piece, Scratch& scratch,
                               std::vector<int32_t>& ids) const {
  if (has_linear_) {
    encode_linear(piece, scratch, ids);
  } else if (piece.size() <= kMaxScanBytes) {
    encode_by_scan(piece, ids);
  } else {
    encode_by_heap(piece, scratch, ids);
  }
}

void BpeModel::encode_linear(std::string_view piece, Scratch& scratch,
                             std::vector<int32_t>& ids) const {
  linear_.encode(piece, ranks_, scratch.linear_, ids);
}

void BpeModel::encode_by_scan(std::string_view piece, std::vector<int32_t>& ids) const {
  int32_t id[kMaxScanBytes];
  uint32_t rank[kMaxScanBytes];  // of (id[i], id[i+1])
  size_t n = piece.size();
  for (size_t i = 0; i < n; ++i) id[i] = byte_tokens_[static_cast<uint8_t>(piece[i])];
  for (size_t i = 0; i + 1 < n; ++i) {
    const auto byte = [&](size_t k) { return static_cast<size_t>(static_cast<uint8_t>(piece[k])); };
    rank[i] = byte_pair_rank_[byte(i) << 8 | byte(i + 1)];
  }
  while (n > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < n; ++i) best = rank[i] < rank[best] ? i : best;
    if (rank[best] == kNoRank) break;
    id[best] = result_[rank[best]];
    std::memmove(id + best + 1, id + best + 2, (n - best - 2) * sizeof(id[0]));
    // rank[best + 1] goes: its pair's left half was just taken.
    if (best + 2 < n) {
      std::memmove(rank + best + 1, rank + best + 2, (n - best - 3) * sizeof(rank[0]));
    }
    --n;
    if (best + 1 < n) rank[best] = ranks_.find(id[best], id[best + 1]);
    if (best > 0) rank[best - 1] = ranks_.find(id[best - 1], id[best]);
  }
  ids.insert(ids.end(), id, id + n);
}

// A heap of (rank, position): the lowest rank, leftmost first. An entry is out of date, and passed
// over, when its position no longer holds a pair of that rank.
void BpeModel::encode_by_heap(std::string_view piece, Scratch& scratch,
                              std::vector<int32_t>& ids) const {
  auto& symbols = scratch.symbols_;
  auto& heap = scratch.heap_;
  const auto n = static_cast<uint32_t>(piece.size());
  symbols.resize(n);
  heap.clear();
  for (uint32_t i = 0; i < n; ++i) {
    const auto byte = static_cast<uint8_t>(piece[i]);
    uint32_t rank = kNoRank;
    if (i + 1 < n) rank = byte_pair_rank_[size_t{byte} << 8 | static_cast<uint8_t>(piece[i + 1])];
    symbols[i] = {byte_tokens_[byte], i + 1 < n ? i + 1 : kNoSymbol, i - 1, rank};
    if (rank != kNoRank) heap.push_back(uint64_t{rank} << 32 | i);
  }
  std::make_heap(heap.begin(), heap.end(), std::greater<>());
  const auto update = [&](uint32_t at) {
    auto& s = symbols[at];
    s.rank = s.next == kNoSymbol ? kNoRank : ranks_.find(s.id, symbols[s.next].id);
    if (s.rank == kNoRank) return;
    heap.push_back(uint64_t{s.rank} << 32 | at);
    std::push_heap(heap.begin(), heap.end(), std::greater<>());
  };
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    const auto rank = static_cast<uint32_t>(heap.back() >> 32);
    const auto at = static_cast<uint32_t>(heap.back());
    heap.pop_back();
    if (symbols[at].rank != rank) continue;
    const uint32_t right = symbols[at].next;
    symbols[at].id = result_[rank];
    symbols[at].next = symbols[right].next;
    symbols[right].rank = kNoRank;
    if (symbols[at].next != kNoSymbol) symbols[symbols[at].next].previous = at;
    update(at);
    if (at > 0) update(symbols[at].previous);
  }
  for (uint32_t at = 0; at != kNoSymbol; at = symbols[at].next) ids.push_back(symbols[at].id);
}

}  // namespace hadal
