// kernels/cuda/largest.h: the k largest of some values, by one warp. Ties go to the lower index, NaN
// never beats a number, so that k different indices come out whatever the values are.
#pragma once

#include "hadal/kernels/cuda/warp.h"

namespace hadal::cuda {

// Values as integers of the same order; -0 and 0 are equal. No number is as small as these three.
inline constexpr unsigned kExcluded = 0, kTaken = 1, kNotANumber = 2;

__device__ inline unsigned order_of(float x) {
  if (x != x) return kNotANumber;
  const unsigned bits = __float_as_uint(x + 0.0F);
  return (bits & 0x80000000U) != 0 ? ~bits : bits | 0x80000000U;
}
// NaN becomes the smallest number.
__device__ inline float value_in_order(unsigned order) {
  if (order <= kNotANumber) return -INFINITY;
  return __uint_as_float((order & 0x80000000U) != 0 ? order ^ 0x80000000U : ~order);
}

// Overwrites the k largest of order [n] with kTaken. Lane i reads and writes elements i, i + 32, ...
// REQUIRES at least k that are neither excluded nor taken.
__device__ inline void take_largest(unsigned* order, int64_t n, int64_t k, int lane) {
  for (int64_t round = 0; round < k; ++round) {
    unsigned long long best = 0;  // value, then the lower index
    for (int64_t i = lane; i < n; i += kWarp) {
      const auto index = static_cast<unsigned>(i);
      best = Max{}(best, static_cast<unsigned long long>(order[i]) << 32 | (0xFFFFFFFFU - index));
    }
    const unsigned index = 0xFFFFFFFFU - static_cast<unsigned>(reduce_warp(Max{}, best));
    if (static_cast<int>(index % kWarp) == lane) order[index] = kTaken;
  }
}

// Excludes all experts of order [E] but those of the `n_kept` best groups: best by the sum of the two
// largest members, or by the largest. groups [n_groups] is working memory.
__device__ inline void keep_groups(unsigned* order, int64_t E, unsigned* groups, int64_t n_groups,
                                   int64_t n_kept, bool by_two, int lane) {
  const int64_t size = E / n_groups;
  __syncwarp();
  for (int64_t g = 0; g < n_groups; ++g) {
    float first = -INFINITY, second = -INFINITY;
    for (int64_t i = lane; i < size; i += kWarp) {
      const float value = value_in_order(order[g * size + i]);
      second = Max{}(second, Min{}(first, value));
      first = Max{}(first, value);
    }
    for (int distance = kWarp / 2; distance > 0; distance /= 2) {
      const float other_first = __shfl_xor_sync(0xFFFFFFFFU, first, distance),
                  other_second = __shfl_xor_sync(0xFFFFFFFFU, second, distance);
      second = Max{}(Min{}(first, other_first), Max{}(second, other_second));
      first = Max{}(first, other_first);
    }
    if (g % kWarp == lane) groups[g] = order_of(by_two && size > 1 ? first + second : first);
  }
  take_largest(groups, n_groups, n_kept, lane);
  __syncwarp();
  for (int64_t e = lane; e < E; e += kWarp) {
    if (groups[e / size] != kTaken) order[e] = kExcluded;
  }
}

}  // namespace hadal::cuda
