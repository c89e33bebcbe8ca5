#include "hadal/tensor/arena.h"

#include <algorithm>

#include "hadal/core/checked_math.h"

namespace hadal {
namespace {

constexpr int64_t kGranule = 256;

// A waiting block may serve a request that uses at least three quarters of it.
bool fits(int64_t capacity, int64_t bytes) { return bytes >= capacity - capacity / 4; }

}  // namespace

Arena::~Arena() { trim(); }

Arena::Block Arena::take(int64_t bytes) {
  const int64_t wanted = round_up(std::max<int64_t>(bytes, 1), kGranule);
  const std::lock_guard lock(mutex_);
  Block block;
  const auto it = std::ranges::lower_bound(free_, wanted, {}, &Block::bytes);
  if (it != free_.end() && fits(it->bytes, wanted)) {
    block = *it;
    free_.erase(it);
  } else {
    if (free_.capacity() == n_blocks_) free_.reserve(2 * n_blocks_ + 16);  // for give_back
    block = {memory_.allocate(wanted), wanted};
    ++n_blocks_;
    reserved_ += wanted;
  }
  in_use_ += block.bytes;
  peak_ = std::max(peak_, in_use_);
  return block;
}

void Arena::give_back(const Block& block) noexcept {
  const std::lock_guard lock(mutex_);
  in_use_ -= block.bytes;
  // Before others of its size: what was used last is still in the caches.
  free_.insert(std::ranges::lower_bound(free_, block.bytes, {}, &Block::bytes), block);
}

void Arena::trim() {
  const std::lock_guard lock(mutex_);
  for (const Block& block : free_) {
    memory_.release(block.data);
    reserved_ -= block.bytes;
  }
  n_blocks_ -= free_.size();
  free_.clear();
}

int64_t Arena::bytes_in_use() const {
  const std::lock_guard lock(mutex_);
  return in_use_;
}
int64_t Arena::bytes_reserved() const {
  const std::lock_guard lock(mutex_);
  return reserved_;
}
int64_t Arena::peak_bytes_in_use() const {
  const std::lock_guard lock(mutex_);
  return peak_;
}

}  // namespace hadal
