// kernels/cuda/tile.h: products of 64 x 64 tiles in F32 by blocks of 256 threads, from shared memory.
//
//   acc[4 ty + r][4 tx + c] += sum_k a[k][4 ty + r] b[k][4 tx + c]      tx = thread % 16, ty = thread / 16
//
// A tile is [depth][64] floats; a row's 16 groups of 4 floats are swapped about by row, group g stands at
// g ^ (k / 4 % 8), so that a tile can be filled along either axis and read by fours without two threads
// of a warp meeting in a bank. Every element's sum runs over k in ascending order, whatever tile it is in.
#pragma once

#include "hadal/kernels/cuda/launch.h"

namespace hadal::cuda {

inline constexpr int kTile = 64, kDepth = 32, kTileThreads = 256;
inline constexpr int kSliceFloats = kDepth * kTile, kTileFloats = kTile * kTile;

using Outputs = float[4][4];  // of a thread

__device__ inline int tile_tx() { return static_cast<int>(threadIdx.x) % 16; }
__device__ inline int tile_ty() { return static_cast<int>(threadIdx.x) / 16; }
__device__ inline float4* group_at(float* tile, int k, int group) {
  return reinterpret_cast<float4*>(tile + k * kTile + 4 * (group ^ (k / 4 % 8)));
}
__device__ inline const float4* group_at(const float* tile, int k, int group) {
  return reinterpret_cast<const float4*>(tile + k * kTile + 4 * (group ^ (k / 4 % 8)));
}

// Where a tile comes from: rows of floats. Four neighbours are read at once where `quads` says that they
// are aligned.
struct FloatRows {
  const float* data;
  int64_t stride;
  bool quads;

  FloatRows(const float* data_, int64_t stride_)
      : data(data_),
        stride(stride_),
        quads(reinterpret_cast<uintptr_t>(data_) % 16 == 0 && stride_ % 4 == 0) {}
  __device__ FloatRows(const float* data_, int64_t stride_, bool quads_)
      : data(data_), stride(stride_), quads(quads_) {}
  // REQUIRES n * stride a multiple of 4 where `quads`
  __device__ FloatRows from(int64_t n) const { return {data + n * stride, stride, quads}; }
  __device__ float at(int64_t row, int64_t col) const { return data[row * stride + col]; }
  __device__ float4 quad(int64_t row, int64_t col) const {
    return *reinterpret_cast<const float4*>(data + row * stride + col);
  }
};

// Rows of two parts side by side.
struct TwoParts {
  FloatRows first, second;
  int64_t split;  // columns of the first
  bool quads;

  TwoParts(const FloatRows& first_, const FloatRows& second_, int64_t split_)
      : first(first_),
        second(second_),
        split(split_),
        quads(first_.quads && second_.quads && split_ % 4 == 0) {}
  __device__ TwoParts(const FloatRows& first_, const FloatRows& second_, int64_t split_,
                      bool quads_)
      : first(first_), second(second_), split(split_), quads(quads_) {}
  __device__ TwoParts from(int64_t n) const {
    return {first.from(n), second.from(n), split, quads};
  }
  __device__ float at(int64_t row, int64_t col) const {
    return col < split ? first.at(row, col) : second.at(row, col - split);
  }
  __device__ float4 quad(int64_t row, int64_t col) const {
    return col < split ? first.quad(row, col) : second.quad(row, col - split);
  }
};

// Columns [col, col + 4) of a row, 0 from column `end` on.
template <class Source>
__device__ float4 fetch(const Source& source, int64_t row, int64_t col, int64_t end) {
  if (source.quads && col + 4 <= end) return source.quad(row, col);
  return {col < end ? source.at(row, col) : 0.0F, col + 1 < end ? source.at(row, col + 1) : 0.0F,
          col + 2 < end ? source.at(row, col + 2) : 0.0F,
          col + 3 < end ? source.at(row, col + 3) : 0.0F};
}

// slice[k][x] = source(x, col + k) for x < n_rows and col + k < n_cols, 0 elsewhere.
template <class Source>
__device__ void load_turned(float* slice, const Source& source, int64_t n_rows, int64_t col,
                            int64_t n_cols) {
#pragma unroll
  for (int i = 0; i < kSliceFloats / 4 / kTileThreads; ++i) {
    const int at = static_cast<int>(threadIdx.x) + i * kTileThreads, quad = at % 8, row = at / 8;
    const float4 v = fetch(source, row, col + 4 * quad, row < n_rows ? n_cols : 0);
    float* const to = slice + 4 * quad * kTile + 4 * (row / 4 ^ quad) + row % 4;
    to[0] = v.x, to[kTile] = v.y, to[2 * kTile] = v.z, to[3 * kTile] = v.w;
  }
}

// slice[k][x] = source(k, col + x) for k < n_rows and col + x < n_cols, 0 elsewhere.
template <class Source>
__device__ void load_straight(float* slice, const Source& source, int64_t n_rows, int64_t col,
                              int64_t n_cols) {
#pragma unroll
  for (int i = 0; i < kSliceFloats / 4 / kTileThreads; ++i) {
    const int at = static_cast<int>(threadIdx.x) + i * kTileThreads, quad = at % 16, k = at / 16;
    *group_at(slice, k, quad) = fetch(source, k, col + 4 * quad, k < n_rows ? n_cols : 0);
  }
}

// kDepth terms.
__device__ inline void multiply(Outputs& acc, const float* a, const float* b) {
#pragma unroll
  for (int k = 0; k < kDepth; ++k) {
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

// acc = x y^T over n_cols columns. slices: room for two. Begins with a barrier, ends without.
template <class X, class Y>
__device__ void multiply_rows(Outputs& acc, float* slices, const X& x, int64_t x_rows, const Y& y,
                              int64_t y_rows, int64_t n_cols) {
#pragma unroll
  for (int r = 0; r < 4; ++r) {
#pragma unroll
    for (int c = 0; c < 4; ++c) acc[r][c] = 0.0F;
  }
  for (int64_t col = 0; col < n_cols; col += kDepth) {
    __syncthreads();
    load_turned(slices, x, x_rows, col, n_cols);
    load_turned(slices + kSliceFloats, y, y_rows, col, n_cols);
    __syncthreads();
    multiply(acc, slices, slices + kSliceFloats);
  }
}

// acc[g] += weights^T (columns col + 64 g, ... of the n_rows <= 64 rows of y). weights [64 rows of y][64].
// slices: room for two. Begins with a barrier, which also ends the writing of the weights.
template <int kGroups, class Y>
__device__ void add_weighted_rows(Outputs (&acc)[kGroups], float* slices, const float* weights,
                                  const Y& y, int64_t n_rows, int64_t col, int64_t n_cols) {
  for (int k = 0; k < n_rows; k += kDepth) {
#pragma unroll
    for (int g = 0; g < kGroups; g += 2) {
      if (col + g * kTile >= n_cols) break;
      __syncthreads();
      load_straight(slices, y.from(k), n_rows - k, col + g * kTile, n_cols);
      if (g + 1 < kGroups) {
        load_straight(slices + kSliceFloats, y.from(k), n_rows - k, col + (g + 1) * kTile, n_cols);
      }
      __syncthreads();
      multiply(acc[g], weights + k * kTile, slices);
      if (g + 1 < kGroups) multiply(acc[g + 1], weights + k * kTile, slices + kSliceFloats);
    }
  }
}

}  // namespace hadal::cuda
