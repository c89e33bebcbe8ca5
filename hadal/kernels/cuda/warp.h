// kernels/cuda/warp.h: sums and maxima over a warp and a block. Every thread gets the result; the order
// of additions depends on nothing but the number of threads.
#pragma once

#include "hadal/kernels/cuda/launch.h"

namespace hadal::cuda {

struct Sum {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};
struct Max {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a < b ? b : a;
  }
};
struct Min {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return b < a ? b : a;
  }
};

template <class Op, class T>
__device__ T reduce_warp(Op op, T value) {
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    value = op(value, __shfl_xor_sync(0xFFFFFFFFU, value, distance));
  }
  return value;
}

// REQUIRES blockDim.x a multiple of 32, at most 1024; every thread calls. `neutral` op x == x.
template <class Op, class T>
__device__ T reduce_block(Op op, T value, T neutral) {
  __shared__ T of_warps[kWarp];
  const int lane = static_cast<int>(threadIdx.x) % kWarp,
            warp = static_cast<int>(threadIdx.x) / kWarp;
  value = reduce_warp(op, value);
  __syncthreads();  // a sum before this one may still be read
  if (lane == 0) of_warps[warp] = value;
  __syncthreads();
  const int n_warps = static_cast<int>(blockDim.x) / kWarp;
  return reduce_warp(op, lane < n_warps ? of_warps[lane] : neutral);
}

template <class T>
__device__ T sum_warp(T value) {
  return reduce_warp(Sum{}, value);
}
template <class T>
__device__ T sum_block(T value) {
  return reduce_block(Sum{}, value, T{0});
}

}  // namespace hadal::cuda
