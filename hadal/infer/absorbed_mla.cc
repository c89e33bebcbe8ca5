#include "hadal/infer/absorbed_mla.h"

#include "hadal/infer/positions.h"
#include "hadal/ops/latent_attention.h"

namespace hadal {

Tensor absorbed_mla(Context& ctx, const Mla& mla, const Tensor& x, const RopeTable& rope,
                    LatentRows& cache) {
  const auto [n_heads, d_nope, d_rope, d_v] = mla.dims;
  const int64_t T = x.dim(0);
  const std::vector<int32_t> positions = next_positions(cache.length(), T);

  const auto [queries, latents] = mla.queries_and_latents(ctx, x, rope, positions);
  cache.append(latents.mat());
  const Tensor q = queries.reshaped({T, n_heads, d_nope + d_rope});
  const View<const float, 3> q_thd = q.view<float, 3>();

  const WeightView w_ukv = mla.w_ukv.weight.weight();
  Tensor q_latent = ctx.empty({T, n_heads, mla.kv_lora_rank});
  absorb_query(ctx, q_latent.view<float, 3>(), q_thd.columns(0, d_nope), w_ukv);
  Tensor o_latent = ctx.empty({T, n_heads, mla.kv_lora_rank});
  latent_attention(ctx, o_latent.view<float, 3>(), q_latent.view<float, 3>(),
                   q_thd.columns(d_nope, d_nope + d_rope), cache.rows(), mla.softmax_scale);
  Tensor o = ctx.empty({T, n_heads, d_v});
  expand_value(ctx, o.view<float, 3>(), o_latent.view<float, 3>(), w_ukv);
  return mla.w_o.forward(ctx, o.reshaped({T, n_heads * d_v}));
}

}  // namespace hadal
