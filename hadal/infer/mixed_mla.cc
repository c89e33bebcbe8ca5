#include "hadal/infer/mixed_mla.h"

namespace hadal {
Tensor mixed_mla(Context& ctx, const Mla& mla, int64_t layer, const Tensor& x,
                 const RopeTable& rope, std::span<const BatchShare> absorbed,
                 std::span<const BatchShare> prefill) {
  const auto [n_heads, d_nope, d_rope, d_v] = mla.dims;
  const int64_t T = x.dim(0);
  std::vector<int32_t> positions;
  append_positions(positions, absorbed, layer);
  append_positions(positions, prefill, layer);
  const auto [queries, latents] = mla.queries_and_latents(ctx, x, rope, positions);
  const int64_t n_absorbed = cache_latents(ctx, latents.mat(), 0, absorbed, layer);
  cache_latents(ctx, latents.mat(), n_absorbed, prefill, layer);

  const Tensor q = queries.reshaped({T, n_heads, d_nope + d_rope});
  Tensor o = ctx.empty({T, n_heads, d_v});
  const View<const float, 3> q_thd = q.view<float, 3>();
  const View<float, 3> o_thd = o.view<float, 3>();
  if (!absorbed.empty()) {
    absorbed_attention(ctx, mla, layer, o_thd.rows(0, n_absorbed), q_thd.rows(0, n_absorbed),
                       absorbed);
  }
  int64_t first = n_absorbed;
  for (const auto& [sequence, n] : prefill) {
    prefill_attention(ctx, mla, layer, o_thd.rows(first, first + n), q_thd.rows(first, first + n),
                      *sequence);
    first += n;
  }
  return mla.w_o.forward(ctx, o.reshaped({T, n_heads * d_v}));
}

}  // namespace hadal
