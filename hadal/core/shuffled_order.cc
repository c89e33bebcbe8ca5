#include "hadal/core/shuffled_order.h"

#include "hadal/core/rng.h"

namespace hadal {
namespace {

// The finalizer of SplitMix64: every bit of the result depends on every bit of the argument.
uint64_t mix(uint64_t x) {
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9;
  x = (x ^ x >> 27) * 0x94D049BB133111EB;
  return x ^ x >> 31;
}

}  // namespace

ShuffledOrder::ShuffledOrder(int64_t n, uint64_t seed, uint64_t epoch)
    : n_(static_cast<uint64_t>(n)) {
  while (half_bits_ < 31 && uint64_t{1} << (2 * half_bits_) < n_) ++half_bits_;
  Rng rng(seed, epoch);
  for (uint64_t& key : keys_) key = rng.next_u64();
}

int64_t ShuffledOrder::at(int64_t position) const {
  const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
  auto value = static_cast<uint64_t>(position);
  do {
    uint64_t left = value >> half_bits_, right = value & mask;
    for (const uint64_t key : keys_) {
      const uint64_t next = left ^ (mix(right + key) & mask);
      left = right;
      right = next;
    }
    value = left << half_bits_ | right;
  } while (value >= n_);
  return static_cast<int64_t>(value);
}

}  // namespace hadal
