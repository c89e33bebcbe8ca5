#include "hadal/infer/prefill_mla.h"

#include "hadal/infer/positions.h"
#include "hadal/ops/attention.h"

namespace hadal {
Tensor prefill_mla(Context& ctx, const Mla& mla, const Tensor& x, const RopeTable& rope,
                   LatentRows& cache) {
  const auto [n_heads, d_nope, d_rope, d_v] = mla.dims;
  const int64_t T = x.dim(0), d_c = mla.kv_lora_rank;
  const std::vector<int32_t> positions = next_positions(cache.length(), T);

  const auto [queries, latents] = mla.queries_and_latents(ctx, x, rope, positions);
  cache.append(latents.mat());
  const Tensor q = queries.reshaped({T, n_heads, d_nope + d_rope});
  const Tensor kv = mla.w_ukv.forward_rows(ctx, cache.rows().columns(0, d_c))
                        .reshaped({cache.length(), n_heads, d_nope + d_v});

  Tensor o = ctx.empty({T, n_heads, d_v});
  attention_forward_chunk(ctx, o.view<float, 3>(), q.view<float, 3>(), kv.view<float, 3>(),
                          cache.rows().columns(d_c, d_c + d_rope), mla.dims, mla.softmax_scale);
  return mla.w_o.forward(ctx, o.reshaped({T, n_heads * d_v}));
}

}  // namespace hadal
