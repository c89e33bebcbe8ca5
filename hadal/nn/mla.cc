// H heads, d_qk = d_nope + d_rope, d_c = kv_lora_rank. Columns of wider tensors are views: nothing
// is split or concatenated by copying.
#include "hadal/nn/mla.h"

#include "hadal/ops/copy.h"
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

LinearInput Mla::query_latent(Context& ctx, const LinearInput& x, RmsNorm::Saved& norm) const {
  if (!w_dq) return x.share();
  return w_uq.input(ctx, q_norm->forward(ctx, w_dq->forward(ctx, x), norm));
}

Tensor Mla::rotated_queries(Context& ctx, const LinearInput& c_q, const RopeTable& rope,
                            std::span<const int32_t> positions) const {
  Tensor q = w_uq.forward(ctx, c_q);
  rope_forward(ctx, rope_part(q), rope, positions);
  return q;
}

Tensor Mla::latent_rows(Context& ctx, const LinearInput& x, const RopeTable& rope,
                        std::span<const int32_t> positions) const {
  Tensor rows = w_dkv.forward(ctx, x);
  rope_forward(ctx, key_rope_part(rows), rope, positions);
  Tensor r;
  const Tensor normed = c_kv(ctx, rows, r);
  copy_rows(ctx, rows.mat().columns(0, kv_lora_rank), normed.mat());
  return rows;
}

Mla::QueriesAndLatents Mla::queries_and_latents(Context& ctx, const Tensor& x,
                                                const RopeTable& rope,
                                                std::span<const int32_t> positions) const {
  const LinearInput in = w_dkv.input(ctx, x);
  RmsNorm::Saved dropped;
  return {rotated_queries(ctx, query_latent(ctx, in, dropped), rope, positions),
          latent_rows(ctx, in, rope, positions)};
}

Tensor Mla::forward(Context& ctx, const Tensor& x, const Pass& pass, Saved& saved) const {
  const int64_t n_tokens = x.dim(0);
  const LinearInput in = w_dkv.input(ctx, x);
  saved.latent = w_dkv.forward(ctx, in);
  rope_forward(ctx, key_rope_part(saved.latent), *pass.rope, pass.positions);
  saved.o = ctx.empty({n_tokens, dims.n_heads * dims.d_v});
  saved.lse = ctx.empty({n_tokens, dims.n_heads});
  {
    LinearInput c_q = query_latent(ctx, in, saved.q_norm);
    Tensor q = rotated_queries(ctx, c_q, *pass.rope, pass.positions);
    if (pass.recompute.norm_outputs) c_q = {};
    LinearInput c = w_ukv.input(ctx, c_kv(ctx, saved.latent, saved.kv_norm_r));
    Tensor kv = w_ukv.forward(ctx, c);
    if (pass.recompute.norm_outputs) c = {};
    attention_forward(ctx, heads(saved.o, dims.n_heads), saved.lse.mat(),
                      heads(std::as_const(q), dims.n_heads), heads(std::as_const(kv), dims.n_heads),
                      std::as_const(saved.latent).mat().columns(kv_lora_rank, saved.latent.dim(1)),
                      pass.sequences, dims, softmax_scale);
    if (!pass.recompute.norm_outputs) {
      saved.w_dkv.x = in.share();
      if (w_dq) saved.w_dq.x = in.share();
      saved.w_uq.x = std::move(c_q);
      saved.w_ukv.x = std::move(c);
    }
    if (!pass.recompute.up_projections) {
      saved.q = std::move(q);
      saved.kv = std::move(kv);
    }
  }
  saved.w_o.x = w_o.input(ctx, saved.o);
  return w_o.forward(ctx, saved.w_o.x);
}

Tensor Mla::backward_input(Context& ctx, Tensor dy, const Tensor& x_again, const Pass& pass,
                           Saved& saved) const {
  const int64_t n_tokens = dy.dim(0), d_c = kv_lora_rank, width = d_c + dims.d_rope;
  const Tensor& latent = saved.latent;
  if (x_again.has_data()) {
    saved.w_dkv.x = w_dkv.input(ctx, x_again);
    if (w_dq) {
      saved.w_dq.x = saved.w_dkv.x.share();
      saved.w_uq.x = w_uq.input(ctx, q_norm->recompute(ctx, saved.q_norm));
    } else {
      saved.w_uq.x = saved.w_dkv.x.share();
    }
    Tensor r;
    saved.w_ukv.x = w_ukv.input(ctx, c_kv(ctx, latent, r));
  }

  Tensor dlatent = ctx.empty({n_tokens, width});
  Tensor dq, dkv;
  {
    const Tensor d_o = w_o.backward_input(ctx, std::move(dy), saved.w_o);
    const Tensor q = saved.q.has_data()
                         ? std::move(saved.q)
                         : rotated_queries(ctx, saved.w_uq.x, *pass.rope, pass.positions);
    const Tensor kv = saved.kv.has_data() ? std::move(saved.kv) : w_ukv.forward(ctx, saved.w_ukv.x);
    const Tensor o = std::move(saved.o), lse = std::move(saved.lse);
    dq = ctx.empty(q.shape());
    dkv = ctx.empty(kv.shape());
    attention_backward(ctx, heads(dq, dims.n_heads), heads(dkv, dims.n_heads),
                       dlatent.mat().columns(d_c, width), heads(d_o, dims.n_heads),
                       heads(q, dims.n_heads), heads(kv, dims.n_heads),
                       latent.mat().columns(d_c, width), heads(o, dims.n_heads), lse.mat(),
                       pass.sequences, dims, softmax_scale);
  }
  rope_backward(ctx, rope_part(dq), *pass.rope, pass.positions);
  rope_backward(ctx, key_rope_part(dlatent), *pass.rope, pass.positions);

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
