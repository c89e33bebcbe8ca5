// kernels/cuda/row_threads.h: for kernels that reduce rows: a warp for a short row, a block for a long
// one, and a row's elements in registers between the reduction and what uses it. Not yet run on a card.
#pragma once

#include "hadal/kernels/cuda/pack.h"
#include "hadal/kernels/cuda/warp.h"

namespace hadal::cuda {

template <bool kByWarp>
struct RowThreads {
  __device__ static int64_t row() {
    if constexpr (!kByWarp) return blockIdx.x;
    return int64_t{blockIdx.x} * (blockDim.x / kWarp) + threadIdx.x / kWarp;
  }
  __device__ static int index() {
    return static_cast<int>(kByWarp ? threadIdx.x % kWarp : threadIdx.x);
  }
  __device__ static int count() { return kByWarp ? kWarp : static_cast<int>(blockDim.x); }
  template <class T>
  __device__ static T sum(T value) {
    if constexpr (kByWarp) return sum_warp(value);
    return sum_block(value);
  }
};

inline constexpr int kHeld = 4;                                 // packs in a thread's registers
inline constexpr int kWarpRowThreads = 128, kMaxThreads = 512;  // of a block

// A thread's share of a row: packs index(), index() + count(), ... The first kHeld of them are read once,
// the others whenever they are asked for.
template <int kWidth, class Threads>
class RowShare {
 public:
  __device__ RowShare(const float* row, int64_t n_packs) : row_(row), n_packs_(n_packs) {
    for (int u = 0; u < kHeld; ++u) {
      const int64_t pack = Threads::index() + u * Threads::count();
      if (pack < n_packs_) held_[u] = load<kWidth>(row_ + pack * kWidth);
    }
  }
  // body(column, its pack)
  template <class Body>
  __device__ void each(const Body& body) const {
    int64_t pack = Threads::index();
    for (int u = 0; u < kHeld; ++u) {
      if (pack < n_packs_) body(pack * kWidth, held_[u]);
      pack += Threads::count();
    }
    for (; pack < n_packs_; pack += Threads::count()) {
      body(pack * kWidth, load<kWidth>(row_ + pack * kWidth));
    }
  }
  // body(column, its pack, the other row's)
  template <class Body>
  __device__ void each_beside(const RowShare& other, const Body& body) const {
    int64_t pack = Threads::index();
    for (int u = 0; u < kHeld; ++u) {
      if (pack < n_packs_) body(pack * kWidth, held_[u], other.held_[u]);
      pack += Threads::count();
    }
    for (; pack < n_packs_; pack += Threads::count()) {
      body(pack * kWidth, load<kWidth>(row_ + pack * kWidth),
           load<kWidth>(other.row_ + pack * kWidth));
    }
  }

 private:
  const float* row_;
  int64_t n_packs_;
  Pack<float, kWidth> held_[kHeld];
};

// start.operator()<width of packs, whether a warp has a row>(grid) launches the kernel. Which one it is
// depends on a row alone. Kernels say
// __launch_bounds__(kByWarp ? kWarpRowThreads : kMaxThreads).
template <class Start>
void for_row_threads(int64_t rows, int64_t cols, bool fours, const Start& start) {
  constexpr int kThreads = 256;
  const int64_t n_packs = fours ? cols / kFour : cols;
  if (n_packs <= kWarp * kHeld) {
    const Grid grid = block_each(ceil_div(rows, kWarpRowThreads / kWarp), kWarpRowThreads);
    return fours ? start.template operator()<kFour, true>(grid)
                 : start.template operator()<1, true>(grid);
  }
  const Grid grid = block_each(rows, n_packs <= kThreads * kHeld ? kThreads : kMaxThreads);
  return fours ? start.template operator()<kFour, false>(grid)
               : start.template operator()<1, false>(grid);
}

}  // namespace hadal::cuda
