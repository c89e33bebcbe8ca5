#include "hadal/infer/prefill_mla.h"

#include <cstring>

#include "hadal/infer/positions.h"
#include "hadal/ops/attention.h"

namespace hadal {
namespace {

// The latent columns as a tensor of their own: a linear layer takes contiguous rows.
Tensor latents_of(Context& ctx, const LatentRows& cache, int64_t d_c) {
  const View<const float, 2> rows = cache.rows();
  Tensor c_kv = ctx.empty({rows.dim(0), d_c});
  for (int64_t t = 0; t < rows.dim(0); ++t) {
    std::memcpy(c_kv.mat().row(t).data(), rows.row(t).data(),
                static_cast<size_t>(d_c) * sizeof(float));
  }
  return c_kv;
}

}  // namespace

Tensor prefill_mla(Context& ctx, const Mla& mla, const Tensor& x, const RopeTable& rope,
                   LatentRows& cache) {
  const auto [n_heads, d_nope, d_rope, d_v] = mla.dims;
  const int64_t T = x.dim(0), d_c = mla.kv_lora_rank;
  const std::vector<int32_t> positions = next_positions(cache.length(), T);

  const Tensor q = mla.queries(ctx, x, rope, positions).reshaped({T, n_heads, d_nope + d_rope});
  cache.append(mla.latent_rows(ctx, x, rope, positions).mat());
  const Tensor kv = mla.w_ukv.forward(ctx, latents_of(ctx, cache, d_c))
                        .reshaped({cache.length(), n_heads, d_nope + d_v});

  Tensor o = ctx.empty({T, n_heads, d_v});
  attention_forward_chunk(ctx, o.view<float, 3>(), q.view<float, 3>(), kv.view<float, 3>(),
                          cache.rows().columns(d_c, d_c + d_rope), mla.dims, mla.softmax_scale);
  return mla.w_o.forward(ctx, o.reshaped({T, n_heads * d_v}));
}

}  // namespace hadal
