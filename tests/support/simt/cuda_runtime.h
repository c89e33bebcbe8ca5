// tests/support/simt/cuda_runtime.h: CUDA's dialect of C++ for the host's compiler, as far as
// kernels/cuda/ speaks it. Threads of a block run in turn, each until it waits for others.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

#include "cuda_runtime_api.h"
#include "tests/support/simt/simt.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __shared__ static thread_local
#define __launch_bounds__(...)

using std::max;
using std::min;

inline void __syncthreads() { simt::wait_for_block(); }
inline void __syncwarp() { simt::wait_for_warp(); }
template <class T>
T __shfl_sync(unsigned, T value, int from) {
  return simt::exchange(value, from);
}
template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  return simt::exchange(value, simt::lane() ^ mask);
}
template <class T>
T __shfl_up_sync(unsigned, T value, unsigned distance) {
  const int from = simt::lane() - static_cast<int>(distance);
  return simt::exchange(value, from < 0 ? simt::lane() : from);
}
template <class T>
T __shfl_down_sync(unsigned, T value, unsigned distance) {
  const int from = simt::lane() + static_cast<int>(distance);
  return simt::exchange(value, from > 31 ? simt::lane() : from);
}
inline unsigned __ballot_sync(unsigned, bool holds) {
  unsigned bits = 0;
  for (int lane = 0; lane < 32; ++lane) {
    const bool of_lane = simt::exchange(static_cast<int>(holds), lane) != 0;
    if (of_lane) bits |= 1U << lane;
  }
  return bits;
}

struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline float2 make_float2(float x, float y) { return {x, y}; }

inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline float rsqrtf(float x) { return 1.0F / std::sqrt(x); }
inline int __popc(unsigned x) { return std::popcount(x); }
inline int __float2int_rn(float x) { return static_cast<int>(std::nearbyintf(x)); }
inline int atomicAdd(int* to, int value) { return std::exchange(*to, *to + value); }
template <class T>
T __ldg(const T* x) {
  return *x;
}
