#include "hadal/infer/prefill_mla.h"

#include "hadal/ops/attention.h"
#include "hadal/ops/copy.h"

namespace hadal {

void prefill_attention(Context& ctx, const Mla& mla, int64_t layer, View<float, 3> o,
                       View<const float, 3> q, const LatentSequence& sequence) {
  const auto [n_heads, d_nope, d_rope, d_v] = mla.dims;
  const int64_t d_c = mla.kv_lora_rank;
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

  const Tensor kv_thd = kv.reshaped({n_rows, n_heads, d_nope + d_v});
  attention_forward_chunk(ctx, o, q, kv_thd.view<float, 3>(), std::as_const(k_rope).mat(), mla.dims,
                          mla.softmax_scale);
}

}  // namespace hadal
