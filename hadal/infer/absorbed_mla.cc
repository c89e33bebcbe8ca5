#include "hadal/infer/absorbed_mla.h"

#include "hadal/ops/latent_attention.h"

namespace hadal {

void absorbed_attention(Context& ctx, const Mla& mla, int64_t layer, View<float, 3> o,
                        View<const float, 3> q, std::span<const BatchShare> batch) {
  const auto [n_heads, d_nope, d_rope, d_v] = mla.dims;
  const int64_t T = q.dim(0);
  std::vector<SequenceRows> sequences;
  int64_t first = 0;
  for (const auto& [sequence, n] : batch) {
    sequences.push_back(sequence->rows(layer, first, n));
    first += n;
  }
  const WeightView w_ukv = mla.w_ukv.weight.weight();
  Tensor q_latent = ctx.empty({T, n_heads, mla.kv_lora_rank});
  absorb_query(ctx, q_latent.view<float, 3>(), q.columns(0, d_nope), w_ukv);
  Tensor o_latent = ctx.empty({T, n_heads, mla.kv_lora_rank});
  latent_attention(ctx, o_latent.view<float, 3>(), q_latent.view<float, 3>(),
                   q.columns(d_nope, d_nope + d_rope), batch.front().sequence->pages().layer(layer),
                   sequences, mla.softmax_scale);
  expand_value(ctx, o, o_latent.view<float, 3>(), w_ukv);
}

}  // namespace hadal
