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
  for (int64_t begin = 0; begin < n_rows; begin += step) {
    const int64_t end = std::min(n_rows, begin + step);
    const Tensor rows = sequence.load(ctx, layer, begin, end);
    Tensor kv = ctx.empty({end - begin, n_heads, d_nope + d_v});
    mla.w_ukv.forward_rows(ctx, {kv.flat<float>().data(), {end - begin, n_heads * (d_nope + d_v)}},
                           rows.mat().columns(0, d_c));
    attention_forward_part(ctx, o, state.view<float, 3>(), q, std::as_const(kv).view<float, 3>(),
                           rows.mat().columns(d_c, d_c + d_rope), {begin, n_rows}, mla.dims,
                           mla.softmax_scale);
  }
}

}  // namespace hadal
