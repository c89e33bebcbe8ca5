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

void* Arena::take(int64_t bytes) {
  const int64_t wanted = round_up(std::max<int64_t>(bytes, 1), kGranule);
  const std::lock_guard lock(mutex_);
  void* block = nullptr;
  int64_t capacity = wanted;
  if (auto it = free_.lower_bound(wanted); it != free_.end() && fits(it->first, wanted)) {
    capacity = it->first;
    block = it->second;
    free_.erase(it);
  } else {
    block = memory_.allocate(wanted);
    reserved_ += wanted;
  }
  capacity_[block] = capacity;
  in_use_ += capacity;
  peak_ = std::max(peak_, in_use_);
  return block;
}

void Arena::give_back(void* block, int64_t) noexcept {
  const std::lock_guard lock(mutex_);
  const auto it = capacity_.find(block);
  in_use_ -= it->second;
  free_.emplace(it->second, block);
  capacity_.erase(it);
}

void Arena::trim() {
  const std::lock_guard lock(mutex_);
  for (const auto& [capacity, block] : free_) {
    memory_.release(block);
    reserved_ -= capacity;
  }
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
