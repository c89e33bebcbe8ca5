#include "hadal/infer/prefill_mla.h"

#include <algorithm>
#include <utility>

#include "hadal/ops/attention.h"

namespace hadal {
namespace {

// Cached rows whose keys and values are there at once: 64 MB of them, in whole blocks of keys.
int64_t part_rows(const AttentionDims& dims) {
  constexpr int64_t kFloats = int64_t{16} << 20;
  const int64_t n = kFloats / (dims.n_heads * (dims.d_nope + dims.d_v));
  return std::max(n / kKeyGrain, int64_t{1}) * kKeyGrain;
}

}  // namespace

void prefill_attention(Context& ctx, const Mla& mla, int64_t layer, View<float, 3> o,
                       View<const float, 3> q, const LatentSequence& sequence) {
  const auto [n_heads, d_nope, d_rope, d_v] = mla.dims;
  const int64_t d_c = mla.kv_lora_rank, n_rows = sequence.length(layer), step = part_rows(mla.dims);
  Tensor state = ctx.empty({q.dim(0), n_heads, 2});
  // Memory of a whole part from the first chunk on: what is not written to is only an address, and
  // blocks that grew with the cache would be new ones at every chunk, all of which the arena keeps.
  Tensor all_latents = ctx.empty({step, sequence.pages().layout().d_row()});
  Tensor all_kv = ctx.empty({step, n_heads, d_nope + d_v});
  for (int64_t begin = 0; begin < n_rows; begin += step) {
    const int64_t n = std::min(step, n_rows - begin);
    const View<float, 2> latents = all_latents.mat().rows(0, n);
    float* const kv = all_kv.flat<float>().data();
    sequence.load(ctx, layer, begin, latents);
    mla.w_ukv.forward_rows(ctx, {kv, {n, n_heads * (d_nope + d_v)}}, latents.columns(0, d_c));
    attention_forward_part(
        ctx, o, state.view<float, 3>(), q, View<const float, 3>(kv, {n, n_heads, d_nope + d_v}),
        latents.columns(d_c, d_c + d_rope), {begin, n_rows}, mla.dims, mla.softmax_scale);
  }
}

}  // namespace hadal
