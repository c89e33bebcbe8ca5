// Attention in F32 for heads of any width, forward: a block for each head and 64 queries of a sequence.
// Not yet run on a card.
#include "hadal/kernels/attention.h"

#include "hadal/kernels/cuda/attend.h"
#include "hadal/kernels/cuda/attention_tiles.h"
#include "hadal/kernels/cuda/warp.h"

namespace hadal::cuda {
namespace {

// What there is beside o. Of several launches for wide values, the last one writes.
struct Beside {
  float* lse;  // [T, H] by lse_stride, or none
  int64_t lse_stride;
  View<float, 3> state;  // [n, H, 2], read where some keys went before, written where some follow
  bool is_first, is_last, writes;
};

// Columns [col, col + 64 kGroups) of o.
template <int kGroups>
__global__ void __launch_bounds__(kTileThreads, 2)
    attention_kernel(View<float, 3> o, Beside beside, HeadRows rows, const QueryTile* tiles,
                     int col, float scale) {
  HADAL_DYNAMIC_SHARED(float, shared);
  const QueryTile tile = tiles[blockIdx.x];
  const int64_t h = blockIdx.y;
  Attended<kGroups> result;
  const auto for_rows = [&](auto&& visit) {  // visit(row of o, row of the tile's four)
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      if (4 * tile_ty() + r < tile.n_queries) visit(tile.first_query + 4 * tile_ty() + r, r);
    }
  };
  const auto for_elements = [&](int64_t i, int r, auto&& visit) {
#pragma unroll
    for (int g = 0; g < kGroups; ++g) {
#pragma unroll
      for (int c = 0; c < 4; ++c) {
        const int at = col + g * kAttentionTile + 4 * tile_tx() + c;
        if (at < rows.d_v) visit(o(i, h, at), result.o[g][r][c]);
      }
    }
  };
  if (!beside.is_first) {
    for_rows([&](int64_t i, int r) {
      result.largest[r] = beside.state(i, h, 0), result.sum[r] = beside.state(i, h, 1);
      for_elements(i, r, [](float kept, float& value) { value = kept; });
    });
  }
  const auto visible = [&](int row) { return tile.first_sees + row; };
  attend(result, shared, rows.queries(h, tile.first_query), tile.n_queries,
         rows.keys(h, tile.first_key), rows.values(h, tile.first_key), 0, tile.n_keys, rows.d_qk(),
         col, rows.d_v, visible, scale);
  for_rows([&](int64_t i, int r) {
    const float divisor = beside.is_last ? result.sum[r] : 1.0F;
    for_elements(i, r, [&](float& to, float value) { to = value / divisor; });
    if (!beside.writes || tile_tx() != 0) return;
    if (beside.lse != nullptr) {
      beside.lse[i * beside.lse_stride + h] = result.largest[r] + logf(result.sum[r]);
    }
    if (!beside.is_last) {
      beside.state(i, h, 0) = result.largest[r], beside.state(i, h, 1) = result.sum[r];
    }
  });
}

void forward(Stream& stream, View<float, 3> o, Beside beside, const HeadRows& rows,
             std::span<const QueryTile> tiles, float scale) {
  const int64_t H = o.dim(1), d_v = o.dim(2);
  if (tiles.empty() || H == 0) return;
  const QueryTile* const on_card = own(stream).upload(tiles);
  const Grid grid{dim3(static_cast<unsigned>(tiles.size()), static_cast<unsigned>(H)), kTileThreads,
                  kAttendBytes};
  for (int64_t col = 0; col == 0 || col < d_v; col += 2 * kAttentionTile) {
    beside.writes = col + 2 * kAttentionTile >= d_v;
    launch("attention", d_v - col <= kAttentionTile ? attention_kernel<1> : attention_kernel<2>,
           grid, stream, o, beside, rows, on_card, col, scale);
  }
}

}  // namespace

void attention_forward(Stream& stream, View<float, 3> o, View<float, 2> lse, View<const float, 3> q,
                       View<const float, 3> kv, View<const float, 2> k_rope,
                       std::span<const int64_t> offsets, float scale) {
  const std::vector<QueryTile> tiles = query_tiles(offsets);
  forward(stream, o, {lse.data(), lse.stride(0), {}, true, true, true}, HeadRows(q, kv, k_rope),
          tiles, scale);
}

void attention_forward_part(Stream& stream, View<float, 3> o, View<float, 3> state,
                            View<const float, 3> q, View<const float, 3> kv,
                            View<const float, 2> k_rope, KeyPart part, float scale) {
  std::vector<QueryTile> tiles;
  for (int64_t i = 0; i < q.dim(0); i += kAttentionTile) {
    const int64_t n = std::min<int64_t>(kAttentionTile, q.dim(0) - i),
                  first_sees = part.n_all - q.dim(0) + i + 1 - part.first;
    tiles.push_back({i, 0, std::clamp<int64_t>(first_sees + n - 1, 0, kv.dim(0)), first_sees,
                     static_cast<int>(n)});
  }
  const bool is_last = part.first + kv.dim(0) == part.n_all;
  forward(stream, o, {nullptr, 0, state, part.first == 0, is_last, true}, HeadRows(q, kv, k_rope),
          tiles, scale);
}

}  // namespace hadal::cuda
