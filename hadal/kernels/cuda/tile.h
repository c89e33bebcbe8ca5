// kernels/cuda/tile.h: products of 64 x 64 tiles in F32 by blocks of 256 threads, from shared memory.
//
//   acc[4 ty + r][4 tx + c] += sum_k a[k][4 ty + r] b[k][4 tx + c]      tx = thread % 16, ty = thread / 16
//
// A tile is [depth][64] floats; a row's 16 groups of 4 floats are swapped about by row, group g stands at
// g ^ (k / 4 % 8), so that a tile can be filled along either axis and read by fours without two threads
// of a warp meeting in a bank. Every element's sum runs over k in ascending order, whatever tile it is in.
#pragma once

#include <iterator>

#include "hadal/kernels/cuda/launch.h"

namespace hadal::cuda {

inline constexpr int kAttentionTile = 64, kAttentionDepth = 32, kTileThreads = 256;
inline constexpr int kSliceFloats = kAttentionDepth * kAttentionTile,
                     kTileFloats = kAttentionTile * kAttentionTile;

using Outputs = float[4][4];  // of a thread

__device__ inline int tile_tx() { return static_cast<int>(threadIdx.x) % 16; }
__device__ inline int tile_ty() { return static_cast<int>(threadIdx.x) / 16; }
__device__ inline float4* group_at(float* tile, int k, int group) {
  return reinterpret_cast<float4*>(tile + k * kAttentionTile + 4 * (group ^ (k / 4 % 8)));
}
__device__ inline const float4* group_at(const float* tile, int k, int group) {
  return reinterpret_cast<const float4*>(tile + k * kAttentionTile + 4 * (group ^ (k / 4 % 8)));
}

// Where a tile comes from: rows of floats. Four neighbours are read at once where `quads` says that they
// are aligned and that no row ends between them.
struct FloatRows {
  const float* data;
  int64_t stride;
  bool quads;

  __device__ FloatRows from(int64_t n) const { return {data + n * stride, stride, quads}; }
  __device__ const float* address(int row, int col) const { return data + row * stride + col; }
  __device__ float at(int row, int col) const { return *address(row, col); }
  __device__ float4 quad(int row, int col) const {
    return *reinterpret_cast<const float4*>(address(row, col));
  }
};
// Whether rows of n columns can be read by fours.
inline bool has_quads(const float* data, int64_t stride, int64_t n) {
  return reinterpret_cast<uintptr_t>(data) % 16 == 0 && stride % 4 == 0 && n % 4 == 0;
}

// Rows of two parts side by side.
struct TwoParts {
  FloatRows first, second;
  int split;  // columns of the first
  bool quads;

  __device__ TwoParts from(int64_t n) const {
    return {first.from(n), second.from(n), split, quads};
  }
  __device__ const float* address(int row, int col) const {
    return col < split ? first.address(row, col) : second.address(row, col - split);
  }
  __device__ float at(int row, int col) const { return *address(row, col); }
  __device__ float4 quad(int row, int col) const {
    return *reinterpret_cast<const float4*>(address(row, col));
  }
};

// A thread's share of a slice [32][64], on its way from memory: fetched while the slice before it is in
// use.
struct Share {
  float4 quads[kSliceFloats / 4 / kTileThreads];
};

template <class Source>
__device__ float4 fetch_single(const Source& source, int row, int col, int end) {
  return {col < end ? source.at(row, col) : 0.0F, col + 1 < end ? source.at(row, col + 1) : 0.0F,
          col + 2 < end ? source.at(row, col + 2) : 0.0F,
          col + 3 < end ? source.at(row, col + 3) : 0.0F};
}

// Quads of columns col + 4 q of rows r, 0 from row n_rows and column n_cols on. kPerRow: quads of a row;
// they go to threads in turn.
template <int kPerRow, class Source>
__device__ Share fetch(const Source& source, int n_rows, int col, int n_cols) {
  Share share;
  const auto end_of = [&](int row) { return row < n_rows ? n_cols : 0; };
  if (source.quads) {
#pragma unroll
    for (int i = 0; i < static_cast<int>(std::size(share.quads)); ++i) {
      const int at = static_cast<int>(threadIdx.x) + i * kTileThreads, row = at / kPerRow,
                from = col + 4 * (at % kPerRow);
      share.quads[i] =
          from < end_of(row) ? source.quad(row, from) : make_float4(0.0F, 0.0F, 0.0F, 0.0F);
    }
  } else {
#pragma unroll
    for (int i = 0; i < static_cast<int>(std::size(share.quads)); ++i) {
      const int at = static_cast<int>(threadIdx.x) + i * kTileThreads, row = at / kPerRow;
      share.quads[i] = fetch_single(source, row, col + 4 * (at % kPerRow), end_of(row));
    }
  }
  return share;
}

// slice[k][x] = source(x, col + k)
struct Turned {
  template <class Source>
  __device__ static Share of(const Source& source, int n_rows, int col, int n_cols) {
    return fetch<kAttentionDepth / 4>(source, n_rows, col, n_cols);
  }
  __device__ static void store(float* slice, const Share& share) {
#pragma unroll
    for (int i = 0; i < static_cast<int>(std::size(share.quads)); ++i) {
      const int at = static_cast<int>(threadIdx.x) + i * kTileThreads, quad = at % 8, row = at / 8;
      const float4 v = share.quads[i];
      float* const to = slice + 4 * quad * kAttentionTile + 4 * (row / 4 ^ quad) + row % 4;
      to[0] = v.x, to[kAttentionTile] = v.y, to[2 * kAttentionTile] = v.z,
      to[3 * kAttentionTile] = v.w;
    }
  }
};

// slice[k][x] = source(k, col + x)
struct Straight {
  template <class Source>
  __device__ static Share of(const Source& source, int n_rows, int col, int n_cols) {
    return fetch<kAttentionTile / 4>(source, n_rows, col, n_cols);
  }
  __device__ static void store(float* slice, const Share& share) {
#pragma unroll
    for (int i = 0; i < static_cast<int>(std::size(share.quads)); ++i) {
      const int at = static_cast<int>(threadIdx.x) + i * kTileThreads;
      *group_at(slice, at / 16, at % 16) = share.quads[i];
    }
  }
};

// kAttentionDepth terms.
__device__ inline void multiply(Outputs& acc, const float* a, const float* b) {
#pragma unroll
  for (int k = 0; k < kAttentionDepth; ++k) {
    const float4 rows = *group_at(a, k, tile_ty()), cols = *group_at(b, k, tile_tx());
    const float row[4] = {rows.x, rows.y, rows.z, rows.w},
                col[4] = {cols.x, cols.y, cols.z, cols.w};
#pragma unroll
    for (int r = 0; r < 4; ++r) {
#pragma unroll
      for (int c = 0; c < 4; ++c) acc[r][c] = fmaf(row[r], col[c], acc[r][c]);
    }
  }
}

template <int kGroups>
__device__ void set_zero(Outputs (&acc)[kGroups]) {
#pragma unroll
  for (auto& group : acc) {
#pragma unroll
    for (auto& row : group) {
#pragma unroll
      for (float& value : row) value = 0.0F;
    }
  }
}

// acc = x y^T over n_cols columns. slices: room for two. Ends without a barrier.
template <class X, class Y>
__device__ void multiply_rows(Outputs (&acc)[1], float* slices, const X& x, int x_rows, const Y& y,
                              int y_rows, int n_cols) {
  set_zero(acc);
  Share of_x = Turned::of(x, x_rows, 0, n_cols), of_y = Turned::of(y, y_rows, 0, n_cols);
  for (int col = 0; col < n_cols; col += kAttentionDepth) {
    __syncthreads();
    Turned::store(slices, of_x);
    Turned::store(slices + kSliceFloats, of_y);
    __syncthreads();
    if (col + kAttentionDepth < n_cols) {
      of_x = Turned::of(x, x_rows, col + kAttentionDepth, n_cols);
      of_y = Turned::of(y, y_rows, col + kAttentionDepth, n_cols);
    }
    multiply(acc[0], slices, slices + kSliceFloats);
  }
}

// acc[g] += weights^T (columns col + 64 g, ... of the n_rows <= 64 rows of y). weights [64 rows of y][64],
// which need no barrier before. slices: room for two. Ends without a barrier.
template <int kGroups, class Y>
__device__ void add_weighted_rows(Outputs (&acc)[kGroups], float* slices, const float* weights,
                                  const Y& y, int n_rows, int col, int n_cols) {
  Share first, second;
  const auto fetch_groups = [&](int k, int g) {
    const Y rows = y.from(k);
    first = Straight::of(rows, n_rows - k, col + g * kAttentionTile, n_cols);
    if (g + 1 < kGroups)
      second = Straight::of(rows, n_rows - k, col + (g + 1) * kAttentionTile, n_cols);
  };
  fetch_groups(0, 0);
  for (int k = 0; k < n_rows; k += kAttentionDepth) {
#pragma unroll
    for (int g = 0; g < kGroups; g += 2) {
      __syncthreads();
      Straight::store(slices, first);
      if (g + 1 < kGroups) Straight::store(slices + kSliceFloats, second);
      __syncthreads();
      if (g + 2 < kGroups) {
        fetch_groups(k, g + 2);
      } else if (k + kAttentionDepth < n_rows) {
        fetch_groups(k + kAttentionDepth, 0);
      }
      multiply(acc[g], weights + k * kAttentionTile, slices);
      if (g + 1 < kGroups)
        multiply(acc[g + 1], weights + k * kAttentionTile, slices + kSliceFloats);
    }
  }
}

}  // namespace hadal::cuda
