// core/shuffled_order.h: a pseudo-random permutation of 0..n-1 in constant memory. A Feistel
// network permutes the next larger even power of two; values that fall outside are sent through
// again until they land inside ("cycle walking", Black and Rogaway 2002), which keeps it a
// permutation of n.
#pragma once

#include <cstdint>

namespace hadal {

class ShuffledOrder {
 public:
  ShuffledOrder(int64_t n, uint64_t seed, uint64_t epoch);  // REQUIRES n >= 1
  int64_t at(int64_t position) const;                       // REQUIRES 0 <= position < n

 private:
  static constexpr int kRounds = 8;
  uint64_t n_;
  int half_bits_ = 1;
  uint64_t keys_[kRounds];
};

}  // namespace hadal
