// H heads, d_qk = d_nope + d_rope, d_c = kv_lora_rank. Columns of wider tensors are views: nothing
// is split or concatenated by copying.
#include "hadal/nn/mla.h"

#include <algorithm>

#include "hadal/ops/rmsnorm.h"

namespace hadal {
namespace {

View<float, 3> heads(Tensor& x, int64_t n_heads) {
  return {x.mat().data(), {x.dim(0), n_heads, x.dim(1) / n_heads}};
}
View<const float, 3> heads(const Tensor& x, int64_t n_heads) {
  return {x.mat().data(), {x.dim(0), n_heads, x.dim(1) / n_heads}};
}

}  // namespace

std::vector<int32_t> positions_of(const Sequences& sequences) {
  std::vector<int32_t> positions;
  positions.reserve(static_cast<size_t>(sequences.tokens()));
  for (int64_t s = 0; s < sequences.n(); ++s) {
    for (int64_t i = 0; i < sequences.length(s); ++i) positions.push_back(static_cast<int32_t>(i));
  }
  return positions;
}

void Mla::Saved::drop_input() {
  w_dkv.x = {};
  if (w_dq.x.has_data()) {
    w_dq.x = {};
  } else {
    w_uq.x = {};
  }
}

void Mla::Saved::restore_input(const Tensor& x, bool has_query_latent) {
  w_dkv.x = x.share();
  (has_query_latent ? w_dq : w_uq).x = x.share();
}

View<float, 3> Mla::rope_part(Tensor& q) const {
  const int64_t d_qk = dims.d_qk();
  return {q.mat().data() + dims.d_nope,
          {q.dim(0), dims.n_heads, dims.d_rope},
          {dims.n_heads * d_qk, d_qk, 1}};
}

View<float, 3> Mla::key_rope_part(Tensor& latent) const {
  const int64_t width = kv_lora_rank + dims.d_rope;
  return {latent.mat().data() + kv_lora_rank, {latent.dim(0), 1, dims.d_rope}, {width, width, 1}};
}

Tensor Mla::c_kv(Context& ctx, const Tensor& latent, Tensor& r) const {
  Tensor result = ctx.empty({latent.dim(0), kv_lora_rank});
  r = ctx.empty({latent.dim(0)});
  rmsnorm_forward(ctx, result.mat(), r.vec(), latent.mat().columns(0, kv_lora_rank),
                  kv_norm.weight.master.vec(), kv_norm.eps);
  return result;
}

Tensor Mla::rotated_queries(Context& ctx, const Tensor& c_q, const RopeTable& rope,
                            std::span<const int32_t> positions) const {
  Tensor q = w_uq.forward(ctx, c_q);
  rope_forward(ctx, rope_part(q), rope, positions);
  return q;
}

Tensor Mla::queries(Context& ctx, const Tensor& x, const RopeTable& rope,
                    std::span<const int32_t> positions, Saved& saved) const {
  if (!w_dq) {
    saved.w_uq.x = x.share();
    return rotated_queries(ctx, x, rope, positions);
  }
  const Tensor c_q = q_norm->forward(ctx, w_dq->forward(ctx, x, saved.w_dq), saved.q_norm);
  return rotated_queries(ctx, c_q, rope, positions);
}

Tensor Mla::queries(Context& ctx, const Tensor& x, const RopeTable& rope,
                    std::span<const int32_t> positions) const {
  Saved dropped;
  return queries(ctx, x, rope, positions, dropped);
}

Tensor Mla::latent_rows(Context& ctx, const Tensor& x, const RopeTable& rope,
                        std::span<const int32_t> positions) const {
  Tensor rows = w_dkv.forward(ctx, x);
  rope_forward(ctx, key_rope_part(rows), rope, positions);
  Tensor r;
  const Tensor normed = c_kv(ctx, rows, r);
  for (int64_t t = 0; t < rows.dim(0); ++t) {
    const auto from = normed.mat().row(t);
    std::ranges::copy(from, rows.mat().row(t).begin());
  }
  return rows;
}

Tensor Mla::forward(Context& ctx, const Tensor& x, const Sequences& sequences,
                    const RopeTable& rope, Saved& saved) const {
  const int64_t n_tokens = x.dim(0);
  const std::vector<int32_t> positions = positions_of(sequences);
  saved.latent = w_dkv.forward(ctx, x, saved.w_dkv);
  rope_forward(ctx, key_rope_part(saved.latent), rope, positions);
  saved.o = ctx.empty({n_tokens, dims.n_heads * dims.d_v});
  saved.lse = ctx.empty({n_tokens, dims.n_heads});
  {
    const Tensor q = queries(ctx, x, rope, positions, saved);
    const Tensor kv = w_ukv.forward(ctx, c_kv(ctx, saved.latent, saved.kv_norm_r));
    attention_forward(ctx, heads(saved.o, dims.n_heads), saved.lse.mat(), heads(q, dims.n_heads),
                      heads(kv, dims.n_heads),
                      std::as_const(saved.latent).mat().columns(kv_lora_rank, saved.latent.dim(1)),
                      sequences, dims, softmax_scale);
  }
  return w_o.forward(ctx, saved.o, saved.w_o);
}

Tensor Mla::backward_input(Context& ctx, Tensor dy, const Sequences& sequences,
                           const RopeTable& rope, Saved& saved) const {
  const int64_t n_tokens = dy.dim(0), d_c = kv_lora_rank, width = d_c + dims.d_rope;
  const std::vector<int32_t> positions = positions_of(sequences);
  const Tensor& latent = saved.latent;
  Tensor r;
  saved.w_ukv.x = c_kv(ctx, latent, r);
  if (w_dq) saved.w_uq.x = q_norm->recompute(ctx, saved.q_norm);

  Tensor dlatent = ctx.empty({n_tokens, width});
  Tensor dq, dkv;
  {
    const Tensor d_o = w_o.backward_input(ctx, std::move(dy), saved.w_o);
    const Tensor q = rotated_queries(ctx, saved.w_uq.x, rope, positions);
    const Tensor kv = w_ukv.forward(ctx, saved.w_ukv.x);
    const Tensor o = std::move(saved.o), lse = std::move(saved.lse);
    dq = ctx.empty(q.shape());
    dkv = ctx.empty(kv.shape());
    attention_backward(ctx, heads(dq, dims.n_heads), heads(dkv, dims.n_heads),
                       dlatent.mat().columns(d_c, width), heads(d_o, dims.n_heads),
                       heads(q, dims.n_heads), heads(kv, dims.n_heads),
                       latent.mat().columns(d_c, width), heads(o, dims.n_heads), lse.mat(),
                       sequences, dims, softmax_scale);
  }
  rope_backward(ctx, rope_part(dq), rope, positions);
  rope_backward(ctx, key_rope_part(dlatent), rope, positions);

  saved.dc_kv = w_ukv.backward_input(ctx, std::move(dkv), saved.w_ukv);
  rmsnorm_backward_input(ctx, dlatent.mat().columns(0, d_c), std::as_const(saved.dc_kv).mat(),
                         latent.mat().columns(0, d_c), kv_norm.weight.master.vec(),
                         std::as_const(saved.kv_norm_r).vec());
  Tensor dx = w_dkv.backward_input(ctx, std::move(dlatent), saved.w_dkv);
  if (!w_dq) {
    w_uq.backward_input_add(ctx, dx, std::move(dq), saved.w_uq);
    return dx;
  }
  Tensor dc_q = w_uq.backward_input(ctx, std::move(dq), saved.w_uq);
  w_dq->backward_input_add(ctx, dx, q_norm->backward_input(ctx, std::move(dc_q), saved.q_norm),
                           saved.w_dq);
  return dx;
}

void Mla::backward_weight(Context& ctx, Saved&& saved) {
  Saved consumed = std::move(saved);
  w_o.backward_weight(ctx, std::move(consumed.w_o));
  w_ukv.backward_weight(ctx, std::move(consumed.w_ukv));
  const Tensor& latent = consumed.latent;
  rmsnorm_backward_weight(ctx, kv_norm.weight.grad.vec(), std::as_const(consumed.dc_kv).mat(),
                          latent.mat().columns(0, kv_lora_rank),
                          std::as_const(consumed.kv_norm_r).vec());
  w_dkv.backward_weight(ctx, std::move(consumed.w_dkv));
  w_uq.backward_weight(ctx, std::move(consumed.w_uq));
  if (!w_dq) return;
  q_norm->backward_weight(ctx, std::move(consumed.q_norm));
  w_dq->backward_weight(ctx, std::move(consumed.w_dq));
}

}  // namespace hadal
