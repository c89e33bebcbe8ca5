// kernels/cuda/tile_product.h: 64 x 64 sums of products by a block of 256 threads, in F32: the plain
// way, for every shape and form. Each sum runs over the inner axis in ascending order, so its bits
// depend on its own row and column alone.
#pragma once

#include "hadal/kernels/cuda/warp.h"

namespace hadal::cuda {

class TileProduct {
 public:
  static constexpr int kTile = 64, kInner = 32, kThreads = 256;

  // Of the tile's rows and columns only so many are there: whose threads have none of them only load.
  __device__ TileProduct(int64_t rows_left, int64_t columns_left)
      : idle_(row() >= rows_left || column() >= columns_left) {}

  float sum[4][4] = {};

  // sum += A(i, l) B(j, l) for l in [begin, end), i from i0 on, j from j0 on. An operand gives
  //   float operator()(int64_t row, int64_t l, bool inside)   0 where it has no element, or l is not
  //                                              inside; a whole warp calls it with
  //                                              kAlongInner ? one row and 32 l : one l and 32 rows
  //   kAlongInner                                whether its neighbours in memory are those along l
  // REQUIRES begin % 32 == 0.
  template <class A, class B>
  __device__ void add(const A& a, const B& b, int64_t i0, int64_t j0, int64_t begin, int64_t end) {
    __shared__ float a_tile[kInner][kTile + 1], b_tile[kInner][kTile + 1];
    for (int64_t l0 = begin; l0 < end; l0 += kInner) {
      __syncthreads();
      load(a_tile, a, i0, l0, end);
      load(b_tile, b, j0, l0, end);
      __syncthreads();
      if (idle_) continue;
      for (int l = 0; l < kInner; ++l) {
        float av[4], bv[4];
#pragma unroll
        for (int u = 0; u < 4; ++u) av[u] = a_tile[l][row() + 16 * u];
#pragma unroll
        for (int u = 0; u < 4; ++u) bv[u] = b_tile[l][column() + 16 * u];
#pragma unroll
        for (int u = 0; u < 4; ++u) {
#pragma unroll
          for (int v = 0; v < 4; ++v) sum[u][v] = fmaf(av[u], bv[v], sum[u][v]);
        }
      }
    }
  }

  // sum += part.sum * scale(i, j), within rows x columns.
  template <class Scale>
  __device__ void add_scaled(const TileProduct& part, int64_t i0, int64_t j0, int64_t rows,
                             int64_t columns, const Scale& scale) {
    for (int u = 0; u < 4; ++u) {
      const int64_t i = i0 + row() + 16 * u;
      for (int v = 0; v < 4; ++v) {
        const int64_t j = j0 + column() + 16 * v;
        if (i < rows && j < columns) sum[u][v] += part.sum[u][v] * scale(i, j);
      }
    }
  }

  // f(i, j, sum) for this thread's results within rows x columns.
  template <class F>
  __device__ void for_each(int64_t i0, int64_t j0, int64_t rows, int64_t columns,
                           const F& f) const {
    for (int u = 0; u < 4; ++u) {
      const int64_t i = i0 + row() + 16 * u;
      for (int v = 0; v < 4; ++v) {
        const int64_t j = j0 + column() + 16 * v;
        if (i < rows && j < columns) f(i, j, sum[u][v]);
      }
    }
  }

 private:
  bool idle_;

  __device__ static int column() { return static_cast<int>(threadIdx.x) % 16; }
  __device__ static int row() { return static_cast<int>(threadIdx.x) / 16; }

  template <class Operand>
  __device__ static void load(float (*tile)[kTile + 1], const Operand& x, int64_t first, int64_t l0,
                              int64_t end) {
    const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
    for (int step = 0; step < kTile * kInner / kThreads; ++step) {
      const int at = warp + 8 * step;  // of 64 rows, or of 32 l in two halves of rows
      const int l = Operand::kAlongInner ? lane : at % kInner;
      const int r = Operand::kAlongInner ? at : lane + 32 * (at / kInner);
      tile[l][r] = x(first + r, l0 + l, l0 + l < end);
    }
  }
};

}  // namespace hadal::cuda
