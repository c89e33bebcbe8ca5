// Attention in F32 for heads of any width, backward. Scores are formed twice: by blocks of queries for dq
// and by blocks of keys for dk and dv, so that every gradient is added by one block, in order. Not yet
// run on a card.
#include "hadal/kernels/attention.h"

#include "hadal/kernels/cuda/attention_tiles.h"
#include "hadal/kernels/cuda/warp.h"

namespace hadal::cuda {
namespace {

struct KeyTile {
  int64_t first, end;  // rows of the keys' sequence from the tile on
};

struct Gradients {
  View<float, 3> dq, dkv;
  float* head_dk_rope;  // [H, T, d_rope]: of each head alone
  View<const float, 3> d_o;
  View<const float, 2> lse;
  const float* o_dot_do;  // [T, H]
  bool quads;             // of d_o
  float scale;
};

// A warp for each row of o.
__global__ void o_dot_do_kernel(float* o_dot_do, View<const float, 3> o, View<const float, 3> d_o) {
  const int64_t row = (int64_t{blockIdx.x} * blockDim.x + threadIdx.x) / kWarp, H = o.dim(1);
  if (row >= o.dim(0) * H) return;
  float sum = 0.0F;
  for (int64_t d = threadIdx.x % kWarp; d < o.dim(2); d += kWarp) {
    sum = fmaf(o(row / H, row % H, d), d_o(row / H, row % H, d), sum);
  }
  sum = sum_warp(sum);
  if (threadIdx.x % kWarp == 0) o_dot_do[row] = sum;
}

// Of 64 queries from row i0 and 64 keys: s becomes p = exp(s - lse), dp becomes ds = scale p (dp - o.do).
// n_seen: keys that the first query sees; n_queries, n_keys: how many there are.
__device__ void probabilities(Outputs& s, Outputs& dp, const Gradients& g, int64_t h, int64_t i0,
                              int n_queries, int n_keys, int n_seen) {
#pragma unroll
  for (int r = 0; r < 4; ++r) {
    const int row = 4 * tile_ty() + r, n = min(n_seen + row, n_keys) - 4 * tile_tx();
    const bool there = row < n_queries;
    const float lse = there ? g.lse(i0 + row, h) : 0.0F,
                dot = there ? g.o_dot_do[(i0 + row) * g.lse.dim(1) + h] : 0.0F;
#pragma unroll
    for (int c = 0; c < 4; ++c) {
      const float p = there && c < n ? expf(g.scale * s[r][c] - lse) : 0.0F;
      s[r][c] = p;
      dp[r][c] = there && c < n ? g.scale * p * (dp[r][c] - dot) : 0.0F;
    }
  }
}

// dq[i] = sum_j ds[i,j] k[j], columns [64 kGroups blockIdx.z, ..).
template <int kGroups>
__global__ void __launch_bounds__(kTileThreads, kGroups < 3 ? 2 : 1)
    dq_kernel(Gradients g, HeadRows rows, const QueryTile* tiles) {
  HADAL_DYNAMIC_SHARED(float, shared);
  float* const ds = shared + 2 * kSliceFloats;  // [keys][queries]
  const QueryTile tile = tiles[blockIdx.x];
  const int64_t h = blockIdx.y;
  const int col = static_cast<int>(blockIdx.z) * kGroups * kAttentionTile;
  const FloatRows queries = rows.queries(h, tile.first_query),
                  d_o{&g.d_o(tile.first_query, h, 0), g.d_o.stride(0), g.quads};
  Outputs dq[kGroups];
  set_zero(dq);
  for (int64_t key = 0; key < tile.n_keys; key += kAttentionTile) {
    const int n_keys = static_cast<int>(min(tile.n_keys - key, int64_t{kAttentionTile})),
              n_seen = static_cast<int>(min(tile.first_sees - key, int64_t{kAttentionTile}));
    const TwoParts keys = rows.keys(h, tile.first_key + key);
    Outputs s[1], dp[1];
    multiply_rows(s, shared, queries, tile.n_queries, keys, n_keys, rows.d_qk());
    multiply_rows(dp, shared, d_o, tile.n_queries, rows.values(h, tile.first_key + key), n_keys,
                  rows.d_v);
    probabilities(s[0], dp[0], g, h, tile.first_query, tile.n_queries, n_keys, n_seen);
#pragma unroll
    for (int c = 0; c < 4; ++c) {
      *group_at(ds, 4 * tile_tx() + c, tile_ty()) = {dp[0][0][c], dp[0][1][c], dp[0][2][c],
                                                     dp[0][3][c]};
    }
    add_weighted_rows(dq, shared, ds, keys, n_keys, col, rows.d_qk());
  }
#pragma unroll
  for (int group = 0; group < kGroups; ++group) {
#pragma unroll
    for (int r = 0; r < 4; ++r) {
#pragma unroll
      for (int c = 0; c < 4; ++c) {
        const int row = 4 * tile_ty() + r, at = col + group * kAttentionTile + 4 * tile_tx() + c;
        if (row < tile.n_queries && at < rows.d_qk()) {
          g.dq(tile.first_query + row, h, at) = dq[group][r][c];
        }
      }
    }
  }
}

// One gradient of a tile of keys: dv[j] = sum_i p[i,j] do[i], or dk[j] = sum_i ds[i,j] q[i], of columns
// [64 kGroups blockIdx.z, ..). Together they would hold more sums than a thread has registers.
template <int kGroups, bool kOfValues>
__global__ void __launch_bounds__(kTileThreads, kGroups < 3 ? 2 : 1)
    dkv_kernel(Gradients g, HeadRows rows, const KeyTile* tiles) {
  HADAL_DYNAMIC_SHARED(float, shared);
  float* const weights = shared + 2 * kSliceFloats;  // [queries][keys]
  const KeyTile tile = tiles[blockIdx.x];
  const int64_t h = blockIdx.y;
  const int col = static_cast<int>(blockIdx.z) * kGroups * kAttentionTile,
            n_keys = static_cast<int>(min(tile.end - tile.first, int64_t{kAttentionTile})),
            n_cols = kOfValues ? rows.d_v : rows.d_qk();
  const TwoParts keys = rows.keys(h, tile.first);
  const FloatRows values = rows.values(h, tile.first);
  Outputs sums[kGroups];
  set_zero(sums);
  for (int64_t i = tile.first; i < tile.end; i += kAttentionTile) {
    // All queries of later tiles see all keys.
    const int n_queries = static_cast<int>(min(tile.end - i, int64_t{kAttentionTile})),
              n_seen = static_cast<int>(min(i - tile.first, int64_t{kAttentionTile})) + 1;
    const FloatRows queries = rows.queries(h, i), d_o{&g.d_o(i, h, 0), g.d_o.stride(0), g.quads};
    Outputs s[1], dp[1] = {};
    multiply_rows(s, shared, queries, n_queries, keys, n_keys, rows.d_qk());
    if constexpr (!kOfValues) {
      multiply_rows(dp, shared, d_o, n_queries, values, n_keys, rows.d_v);
    }
    probabilities(s[0], dp[0], g, h, i, n_queries, n_keys, n_seen);
    const Outputs& kept = kOfValues ? s[0] : dp[0];
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      *group_at(weights, 4 * tile_ty() + r, tile_tx()) = {kept[r][0], kept[r][1], kept[r][2],
                                                          kept[r][3]};
    }
    add_weighted_rows(sums, shared, weights, kOfValues ? d_o : queries, n_queries, col, n_cols);
  }
#pragma unroll
  for (int group = 0; group < kGroups; ++group) {
#pragma unroll
    for (int r = 0; r < 4; ++r) {
#pragma unroll
      for (int c = 0; c < 4; ++c) {
        const int row = 4 * tile_ty() + r, at = col + group * kAttentionTile + 4 * tile_tx() + c;
        const int64_t j = tile.first + row;
        if (row >= n_keys || at >= n_cols) continue;
        if (kOfValues) {
          g.dkv(j, h, rows.d_nope + at) = sums[group][r][c];
        } else if (at < rows.d_nope) {
          g.dkv(j, h, at) = sums[group][r][c];
        } else {
          g.head_dk_rope[(h * g.dq.dim(0) + j) * rows.d_rope + at - rows.d_nope] =
              sums[group][r][c];
        }
      }
    }
  }
}

// dk_rope[t,d] = sum_h, in ascending order of heads.
__global__ void add_heads_kernel(View<float, 2> dk_rope, const float* of_heads, int64_t H) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x, d = dk_rope.dim(1);
  if (i >= dk_rope.size()) return;
  float sum = 0.0F;
  for (int64_t h = 0; h < H; ++h) sum += of_heads[h * dk_rope.size() + i];
  dk_rope(i / d, i % d) = sum;
}

Grid tiles_grid(int64_t n_tiles, int64_t H, int64_t n_cols, int64_t groups) {
  return {dim3(static_cast<unsigned>(n_tiles), static_cast<unsigned>(H),
               static_cast<unsigned>(ceil_div(n_cols, groups * kAttentionTile))),
          kTileThreads, 4 * (2 * kSliceFloats + kTileFloats)};
}

}  // namespace

void attention_backward(Stream& stream, View<float, 3> dq, View<float, 3> dkv,
                        View<float, 2> dk_rope, View<const float, 3> d_o, View<const float, 3> q,
                        View<const float, 3> kv, View<const float, 2> k_rope,
                        View<const float, 3> o, View<const float, 2> lse,
                        std::span<const int64_t> offsets, float scale) {
  OwnStream& card = own(stream);
  const int64_t T = q.dim(0), H = q.dim(1), d_rope = k_rope.dim(1);
  const std::vector<QueryTile> query_tiles_of_host = query_tiles(offsets);
  std::vector<KeyTile> key_tiles_of_host;
  for (size_t s = 0; s + 1 < offsets.size(); ++s) {
    for (int64_t j = offsets[s]; j < offsets[s + 1]; j += kAttentionTile) {
      key_tiles_of_host.push_back({j, offsets[s + 1]});
    }
  }
  if (T == 0 || H == 0) return;
  Tensor o_dot_do = Tensor::empty(card.scratch(), DType::kF32, {T, H});
  Tensor head_dk_rope = Tensor::empty(card.scratch(), DType::kF32, {H, T, d_rope});
  auto* const dots = static_cast<float*>(o_dot_do.raw());
  auto* const of_heads = static_cast<float*>(head_dk_rope.raw());
  const QueryTile* const query_table = card.upload(std::span<const QueryTile>(query_tiles_of_host));
  const KeyTile* const key_table = card.upload(std::span<const KeyTile>(key_tiles_of_host));
  const HeadRows rows(q, kv, k_rope);
  const Gradients g{dq, dkv, of_heads, d_o, lse, dots, has_quads(d_o), scale};
  const int64_t n_tiles = std::ssize(key_tiles_of_host);

  launch("attention backward", o_dot_do_kernel, one_each(T * H * kWarp), stream, dots, o, d_o);
  launch("attention backward", dq_kernel<3>, tiles_grid(n_tiles, H, q.dim(2), 3), stream, g, rows,
         query_table);
  launch("attention backward", dkv_kernel<3, false>, tiles_grid(n_tiles, H, q.dim(2), 3), stream, g,
         rows, key_table);
  launch("attention backward", dkv_kernel<2, true>, tiles_grid(n_tiles, H, o.dim(2), 2), stream, g,
         rows, key_table);
  launch("attention backward", add_heads_kernel, one_each(T * d_rope), stream, dk_rope, of_heads,
         H);
}

}  // namespace hadal::cuda
