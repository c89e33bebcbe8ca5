// kernels/cuda/attend.h: softmax attention of up to 64 queries over a range of keys, by tiles of 64 keys
// (tile.h). What a query gets depends on its own keys alone: tiles begin at fixed keys, and a key that a
// query does not see adds 0 and multiplies by 1.
#pragma once

#include "hadal/kernels/cuda/tile.h"
#include "hadal/kernels/cuda/warp.h"

namespace hadal::cuda {

inline constexpr int64_t kAttendBytes = 4 * (2 * kSliceFloats + kTileFloats);  // of shared memory

// Of the 16 threads that hold a row of a tile.
template <class Op>
__device__ float reduce_row(Op op, float value) {
  for (int distance = 8; distance > 0; distance /= 2) {
    value = op(value, __shfl_xor_sync(0xFFFFFFFFU, value, distance));
  }
  return value;
}

// o is not divided by the sum. Thread (tx, ty) holds rows 4 ty + r, of which columns 64 g + 4 tx + c.
template <int kGroups>
struct Attended {
  Outputs o[kGroups];
  float largest[4], sum[4];

  __device__ Attended() {
    for (int r = 0; r < 4; ++r) {
      largest[r] = -INFINITY, sum[r] = 0.0F;
      for (auto& group : o) {
        for (int c = 0; c < 4; ++c) group[r][c] = 0.0F;
      }
    }
  }

  // Scores of 64 keys, of which the rows see the first n_seen[r]; s becomes the probabilities.
  __device__ void next_keys(Outputs& s, const int (&n_seen)[4], float scale) {
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      const int n = n_seen[r] - 4 * tile_tx();
      float largest_here = -INFINITY, sum_here = 0.0F;
#pragma unroll
      for (int c = 0; c < 4; ++c) {
        s[r][c] *= scale;
        if (c < n) largest_here = Max{}(largest_here, s[r][c]);
      }
      const float next = Max{}(largest[r], reduce_row(Max{}, largest_here));
      // Nothing seen so far: no infinity may be taken from itself.
      const float factor = next == -INFINITY ? 1.0F : expf(largest[r] - next);
#pragma unroll
      for (int c = 0; c < 4; ++c) {
        s[r][c] = c < n ? expf(s[r][c] - next) : 0.0F;
        sum_here += s[r][c];
      }
      sum[r] = sum[r] * factor + reduce_row(Sum{}, sum_here);
      largest[r] = next;
#pragma unroll
      for (auto& group : o) {
#pragma unroll
        for (int c = 0; c < 4; ++c) group[r][c] *= factor;
      }
    }
  }
};

// Keys [first, end) of `keys` [.., d_qk], values columns [col, ..) of `values` [.., d_v]. visible(row):
// how many keys the row sees, counted from key 0.
template <int kGroups, class Queries, class Keys, class Values, class Visible>
__device__ void attend(Attended<kGroups>& result, float* shared, const Queries& queries,
                       int n_queries, const Keys& keys, const Values& values, int64_t first,
                       int64_t end, int d_qk, int col, int d_v, const Visible& visible,
                       float scale) {
  float* const p = shared + 2 * kSliceFloats;
  for (int64_t key = first; key < end; key += kAttentionTile) {
    const int n_keys = static_cast<int>(min(end - key, int64_t{kAttentionTile}));
    Outputs s[1];
    multiply_rows(s, shared, queries, n_queries, keys.from(key), n_keys, d_qk);
    int n_seen[4];
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      const int64_t n = visible(4 * tile_ty() + r) - key;
      n_seen[r] = static_cast<int>(max(min(n, int64_t{n_keys}), int64_t{0}));
    }
    result.next_keys(s[0], n_seen, scale);
#pragma unroll
    for (int c = 0; c < 4; ++c) {
      *group_at(p, 4 * tile_tx() + c, tile_ty()) = {s[0][0][c], s[0][1][c], s[0][2][c], s[0][3][c]};
    }
    add_weighted_rows(result.o, shared, p, values.from(key), n_keys, col, d_v);
  }
}

}  // namespace hadal::cuda
