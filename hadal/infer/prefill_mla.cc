#include "hadal/infer/prefill_mla.h"

#include "hadal/infer/positions.h"
#include "hadal/ops/attention.h"
#include "hadal/ops/copy.h"

namespace hadal {

Tensor prefill_mla(Context& ctx, const Mla& mla, int64_t layer, const Tensor& x,
                   const RopeTable& rope, LatentSequence& sequence) {
  const auto [n_heads, d_nope, d_rope, d_v] = mla.dims;
  const int64_t T = x.dim(0), d_c = mla.kv_lora_rank;
  const auto [queries, latents] =
      mla.queries_and_latents(ctx, x, rope, next_positions(sequence.length(layer), T));
  sequence.append(ctx, layer, latents.mat());
  const Tensor q = queries.reshaped({T, n_heads, d_nope + d_rope});

  const int64_t n_rows = sequence.length(layer);
  Tensor kv = ctx.empty({n_rows, n_heads * (d_nope + d_v)});
  Tensor k_rope = ctx.empty({n_rows, d_rope});  // the few columns that attention reads as they are
  int64_t done = 0;
  for (const View<const float, 2> piece : sequence.pieces(layer, 0, n_rows)) {
    const int64_t end = done + piece.dim(0);
    mla.w_ukv.forward_rows(ctx, kv.mat().rows(done, end), piece.columns(0, d_c));
    copy_rows(ctx, k_rope.mat().rows(done, end), piece.columns(d_c, d_c + d_rope));
    done = end;
  }

  Tensor o = ctx.empty({T, n_heads, d_v});
  const Tensor kv_thd = kv.reshaped({n_rows, n_heads, d_nope + d_v});
  attention_forward_chunk(ctx, o.view<float, 3>(), q.view<float, 3>(), kv_thd.view<float, 3>(),
                          std::as_const(k_rope).mat(), mla.dims, mla.softmax_scale);
  return mla.w_o.forward(ctx, o.reshaped({T, n_heads * d_v}));
}

}  // namespace hadal
