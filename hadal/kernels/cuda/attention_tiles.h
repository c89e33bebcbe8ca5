// kernels/cuda/attention_tiles.h: how attention over packed sequences is cut into tiles.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "hadal/kernels/cuda/tile.h"
#include "hadal/tensor/view.h"

namespace hadal::cuda {

// Up to 64 queries of a sequence and the keys that any of them sees; rows count from the operands' first.
struct QueryTile {
  int64_t first_query, first_key, n_keys;
  int64_t first_sees;  // keys that the first query sees; each following one sees one more
  int n_queries;
};

// The longest first: they would keep the card waiting at the end.
inline std::vector<QueryTile> query_tiles(std::span<const int64_t> offsets) {
  std::vector<QueryTile> tiles;
  for (size_t s = 0; s + 1 < offsets.size(); ++s) {
    for (int64_t i = offsets[s]; i < offsets[s + 1]; i += kAttentionTile) {
      const int64_t n = std::min<int64_t>(kAttentionTile, offsets[s + 1] - i),
                    before = i - offsets[s];
      tiles.push_back({i, offsets[s], before + n, before + 1, static_cast<int>(n)});
    }
  }
  std::ranges::stable_sort(tiles, std::ranges::greater{}, &QueryTile::n_keys);
  return tiles;
}

// Whether every row of every head can be read by fours.
inline bool has_quads(View<const float, 3> x) {
  return has_quads(x.data(), x.stride(0), x.dim(2)) && x.stride(1) % 4 == 0;
}

// The operands of attention (ops/attention.h), head by head.
struct HeadRows {
  View<const float, 3> q, kv;
  View<const float, 2> k_rope;
  int d_nope, d_rope, d_v;
  bool quads;

  HeadRows(View<const float, 3> q_, View<const float, 3> kv_, View<const float, 2> k_rope_)
      : q(q_),
        kv(kv_),
        k_rope(k_rope_),
        d_nope(static_cast<int>(q.dim(2) - k_rope.dim(1))),
        d_rope(static_cast<int>(k_rope.dim(1))),
        d_v(static_cast<int>(kv.dim(2) - d_nope)),
        quads(has_quads(q) && has_quads(kv) && d_nope % 4 == 0 &&
              has_quads(k_rope.data(), k_rope.stride(0), d_rope)) {}
  __device__ int d_qk() const { return d_nope + d_rope; }

  // From row `first` on.
  __device__ FloatRows queries(int64_t h, int64_t first) const { return head(q, h, first); }
  __device__ TwoParts keys(int64_t h, int64_t first) const {
    const FloatRows rope{k_rope.data() + first * k_rope.stride(0), k_rope.stride(0), quads};
    return {head(kv, h, first), rope, d_nope, quads};
  }
  __device__ FloatRows values(int64_t h, int64_t first) const {
    return head(kv.columns(d_nope, kv.dim(2)), h, first);
  }
  __device__ FloatRows head(View<const float, 3> x, int64_t h, int64_t first) const {
    return {x.data() + first * x.stride(0) + h * x.stride(1), x.stride(0), quads};
  }
};

}  // namespace hadal::cuda
