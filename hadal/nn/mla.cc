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

void Mla::keep_c_kv(Context& ctx, const Tensor& latent, const LinearInput& c, Saved& saved) const {
  Tensor k_rope = ctx.empty({latent.dim(0), dims.d_rope});
  copy_rows(ctx, k_rope.mat(), latent.mat().columns(kv_lora_rank, latent.dim(1)));
  saved.latent = w_ukv.precision.kept_stream(ctx, k_rope);
  saved.c_kv = c.rows().share();
}

Tensor Mla::latent(Context& ctx, const Saved& saved) const {
  if (!saved.c_kv.has_data()) return saved.latent.f32(ctx);
  const Tensor normed = saved.c_kv.f32(ctx), k_rope = saved.latent.f32(ctx);
  const int64_t width = kv_lora_rank + dims.d_rope;
  Tensor result = ctx.empty({normed.dim(0), width});
  rmsnorm_input(ctx, result.mat().columns(0, kv_lora_rank), normed.mat(),
                kv_norm.weight.master.vec(), std::as_const(saved.kv_norm_r).vec());
  copy_rows(ctx, result.mat().columns(kv_lora_rank, width), k_rope.mat());
  return result;
}

Mla::Latents Mla::latents(Context& ctx, const LinearInput& x) const {
  Products products{ctx};
  Latents result{w_dkv.forward(products, x), w_dq ? w_dq->forward(products, x) : Tensor()};
  products.run();
  return result;
}

LinearInput Mla::query_input(Context& ctx, const LinearInput& x, const Tensor& c_q,
                             RmsNorm::Saved& norm) const {
  return w_dq ? w_uq.input(ctx, q_norm->forward(ctx, c_q, norm)) : x.share();
}

Tensor Mla::cached_rows(Context& ctx, Tensor latent, const RopeTable& rope,
                        std::span<const int32_t> positions) const {
  rope_forward(ctx, key_rope_part(latent), rope, positions);
  latent = w_ukv.precision.kept_stream(ctx, latent).f32(ctx);  // as training reads it
  Tensor r;
  const Tensor normed = c_kv(ctx, latent, r);
  copy_rows(ctx, latent.mat().columns(0, kv_lora_rank), normed.mat());
  return latent;
}

Tensor Mla::latent_rows(Context& ctx, const LinearInput& x, const RopeTable& rope,
                        std::span<const int32_t> positions) const {
  return cached_rows(ctx, w_dkv.forward(ctx, x), rope, positions);
}

Mla::QueriesAndLatents Mla::queries_and_latents(Context& ctx, const Tensor& x,
                                                const RopeTable& rope,
                                                std::span<const int32_t> positions) const {
  const LinearInput in = w_dkv.input(ctx, x);
  Latents down = latents(ctx, in);
  RmsNorm::Saved dropped;
  Tensor q = w_uq.forward(ctx, query_input(ctx, in, down.c_q, dropped));
  rope_forward(ctx, rope_part(q), rope, positions);
  return {std::move(q), cached_rows(ctx, std::move(down.latent), rope, positions)};
}

Mla::QueriesAndKeys Mla::up_projections(Context& ctx, const LinearInput& c_q, const LinearInput& c,
                                        const Pass& pass) const {
  Products products{ctx};
  QueriesAndKeys result{w_uq.forward(products, c_q), w_ukv.forward(products, c)};
  products.run();
  rope_forward(ctx, rope_part(result.q), *pass.rope, pass.positions);
  return result;
}

Tensor Mla::forward(Context& ctx, const Tensor& x, const Pass& pass, Saved& saved) const {
  const int64_t n_tokens = x.dim(0);
  const LinearInput in = w_dkv.input(ctx, x);
  Latents down = latents(ctx, in);
  rope_forward(ctx, key_rope_part(down.latent), *pass.rope, pass.positions);
  saved.latent = w_ukv.precision.kept_stream(ctx, down.latent);
  const Tensor latent = saved.latent.f32(ctx);  // as it is kept
  down.latent = {};
  Tensor o = ctx.empty({n_tokens, dims.n_heads * dims.d_v});
  saved.lse = ctx.empty({n_tokens, dims.n_heads});
  {
    LinearInput c_q = query_input(ctx, in, down.c_q, saved.q_norm);
    LinearInput c = w_ukv.input(ctx, c_kv(ctx, latent, saved.kv_norm_r));
    if (w_ukv.precision.keeps_norm_outputs()) keep_c_kv(ctx, latent, c, saved);
    auto [q, kv] = up_projections(ctx, c_q, c, pass);
    if (pass.recompute.norm_outputs) {
      c_q = {};
      c = {};
    }
    attention_forward(ctx, heads(o, dims.n_heads), saved.lse.mat(),
                      heads(std::as_const(q), dims.n_heads), heads(std::as_const(kv), dims.n_heads),
                      latent.mat().columns(kv_lora_rank, latent.dim(1)), pass.sequences, dims,
                      softmax_scale);
    if (!pass.recompute.norm_outputs) {
      saved.w_dkv.x = in.for_weight_gradient();
      if (w_dq) saved.w_dq.x = saved.w_dkv.x.share();
      saved.w_uq.x = std::move(c_q);
      saved.w_ukv.x = std::move(c);
    }
    if (!pass.recompute.up_projections) {
      saved.q = std::move(q);
      saved.kv = std::move(kv);
    }
  }
  const LinearInput in_o = w_o.input(ctx, o);
  saved.o = w_o.precision.kept_attention_output(ctx, o, in_o.rows());
  // W reads what B keeps, unless the columns were quantised beside it.
  saved.w_o.x = trains_in_fp8(w_o.precision.products) && !w_o.precision.quantises_columns()
                    ? LinearInput(saved.o.share())
                    : in_o.for_weight_gradient();
  return w_o.forward(ctx, in_o);
}

Tensor Mla::backward_input(Context& ctx, Tensor dy, const Tensor& x_again, const Pass& pass,
                           Saved& saved) const {
  const int64_t n_tokens = dy.dim(0), d_c = kv_lora_rank, width = d_c + dims.d_rope;
  const Tensor latent = this->latent(ctx, saved);
  if (x_again.has_data()) {
    saved.w_dkv.x = w_dkv.input(ctx, x_again);
    if (w_dq) {
      saved.w_dq.x = saved.w_dkv.x.share();
      const KeptRows& codes = saved.q_norm.y;
      saved.w_uq.x = codes.has_data() ? LinearInput(codes.share())
                                      : w_uq.input(ctx, q_norm->recompute(ctx, saved.q_norm));
    } else {
      saved.w_uq.x = saved.w_dkv.x.share();
    }
    Tensor r;
    saved.w_ukv.x = saved.c_kv.has_data() ? LinearInput(saved.c_kv.share())
                                          : w_ukv.input(ctx, c_kv(ctx, latent, r));
  }

  Tensor dlatent = ctx.empty({n_tokens, width});
  Tensor dq, dkv;
  {
    const Tensor d_o = w_o.backward_input(ctx, std::move(dy), saved.w_o);
    const auto [q, kv] = saved.q.has_data()
                             ? QueriesAndKeys{std::move(saved.q), std::move(saved.kv)}
                             : up_projections(ctx, saved.w_uq.x, saved.w_ukv.x, pass);
    const Tensor o = saved.o.f32(ctx), lse = std::move(saved.lse);
    saved.o = {};
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

  Products products{ctx};
  saved.dc_kv = w_ukv.backward_input(products, std::move(dkv), saved.w_ukv);
  Tensor dc_q = w_dq ? w_uq.backward_input(products, std::move(dq), saved.w_uq) : Tensor();
  products.run();
  rmsnorm_backward_input(ctx, dlatent.mat().columns(0, d_c), std::as_const(saved.dc_kv).mat(),
                         latent.mat().columns(0, d_c), kv_norm.weight.master.vec(),
                         std::as_const(saved.kv_norm_r).vec());
  Tensor dx = w_dkv.backward_input(ctx, std::move(dlatent), saved.w_dkv);
  if (!w_dq) {
    w_uq.backward_input_add(ctx, dx, std::move(dq), saved.w_uq);
    return dx;
  }
  w_dq->backward_input_add(ctx, dx, q_norm->backward_input(ctx, std::move(dc_q), saved.q_norm),
                           saved.w_dq);
  return dx;
}

void Mla::backward_weight(Context& ctx, Saved&& saved) {
  Saved consumed = std::move(saved);
  Products products{ctx};
  w_o.backward_weight(products, std::move(consumed.w_o));
  w_ukv.backward_weight(products, std::move(consumed.w_ukv));
  w_dkv.backward_weight(products, std::move(consumed.w_dkv));
  w_uq.backward_weight(products, std::move(consumed.w_uq));
  if (w_dq) w_dq->backward_weight(products, std::move(consumed.w_dq));
  products.run();
  const Tensor latent = this->latent(ctx, consumed);
  rmsnorm_backward_weight(ctx, kv_norm.weight.grad.vec(), std::as_const(consumed.dc_kv).mat(),
                          latent.mat().columns(0, kv_lora_rank),
                          std::as_const(consumed.kv_norm_r).vec());
  if (w_dq) q_norm->backward_weight(ctx, std::move(consumed.q_norm));
}

}  // namespace hadal
