#include "hadal/infer/absorbed_mla.h"

#include "hadal/infer/positions.h"
#include "hadal/ops/latent_attention.h"

namespace hadal {
namespace {

std::vector<int32_t> positions_of(std::span<const BatchShare> batch, int64_t layer) {
  std::vector<int32_t> positions;
  for (const auto& [sequence, n] : batch) {
    append_positions(positions, sequence->length(layer), n);
  }
  return positions;
}

// Appends every sequence's new rows. Returns what attention needs to know about each.
std::vector<SequenceRows> cache_latents(Context& ctx, View<const float, 2> latents,
                                        std::span<const BatchShare> batch, int64_t layer) {
  std::vector<SequenceRows> sequences;
  int64_t first = 0;
  for (const auto& [sequence, n] : batch) {
    sequence->append(ctx, layer, latents.rows(first, first + n));
    sequences.push_back(sequence->rows(layer, first, n));
    first += n;
  }
  return sequences;
}

}  // namespace

Tensor absorbed_mla(Context& ctx, const Mla& mla, int64_t layer, const Tensor& x,
                    const RopeTable& rope, std::span<const BatchShare> batch) {
  const auto [n_heads, d_nope, d_rope, d_v] = mla.dims;
  const int64_t T = x.dim(0);
  const auto [queries, latents] = mla.queries_and_latents(ctx, x, rope, positions_of(batch, layer));
  const std::vector<SequenceRows> sequences = cache_latents(ctx, latents.mat(), batch, layer);
  const Tensor q = queries.reshaped({T, n_heads, d_nope + d_rope});
  const View<const float, 3> q_thd = q.view<float, 3>();

  const WeightView w_ukv = mla.w_ukv.weight.weight();
  Tensor q_latent = ctx.empty({T, n_heads, mla.kv_lora_rank});
  absorb_query(ctx, q_latent.view<float, 3>(), q_thd.columns(0, d_nope), w_ukv);
  Tensor o_latent = ctx.empty({T, n_heads, mla.kv_lora_rank});
  latent_attention(ctx, o_latent.view<float, 3>(), q_latent.view<float, 3>(),
                   q_thd.columns(d_nope, d_nope + d_rope),
                   batch.front().sequence->pages().layer(layer), sequences, mla.softmax_scale);
  Tensor o = ctx.empty({T, n_heads, d_v});
  expand_value(ctx, o.view<float, 3>(), o_latent.view<float, 3>(), w_ukv);
  return mla.w_o.forward(ctx, o.reshaped({T, n_heads * d_v}));
}

}  // namespace hadal
