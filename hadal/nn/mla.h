// nn/mla.h: multi-head latent attention, MHA form (report eq. 1-11; docs/equations.md, "MLA").
//
//   c_q = norm(x W_DQ^T)              q = c_q W_UQ^T  (or x W_Q^T without a query latent)
//   [c_raw | k_rope] = x W_DKV^T      c_kv = norm(c_raw)      [k_n | v] per head = c_kv W_UKV^T
//   u = attention(q, kv, k_rope) W_O^T
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "hadal/nn/linear.h"
#include "hadal/nn/pass.h"
#include "hadal/nn/rmsnorm.h"
#include "hadal/ops/attention.h"

namespace hadal {

struct Mla {
  AttentionDims dims;
  int64_t kv_lora_rank = 0;
  float softmax_scale = 0.0F;

  std::optional<Linear> w_dq;     // [q_lora_rank, d_model]     q_a_proj
  std::optional<RmsNorm> q_norm;  //                            q_a_layernorm
  Linear w_uq;                    // [H*d_qk, q_lora_rank], or w_q [H*d_qk, d_model] without latent
  Linear w_dkv;                   // [kv_lora_rank + d_rope, d_model]  kv_a_proj_with_mqa
  RmsNorm kv_norm;                //                            kv_a_layernorm
  Linear w_ukv;                   // [H*(d_nope+d_v), kv_lora_rank]    kv_b_proj
  Linear w_o;                     // [d_model, H*d_v]

  struct Saved {
    Linear::Saved w_dq, w_uq, w_dkv, w_ukv, w_o;
    RmsNorm::Saved q_norm;
    KeptRows latent;   // [T, d_c + d_r]: c_raw, then k_rope (rotated); k_rope alone beside c_kv
    KeptRows c_kv;     // [T, d_c] only where outputs of norms wait (nn/precision.h)
    Tensor kv_norm_r;  // [T]
    Tensor dc_kv;      // [T, d_c] gradient of c_kv, written by backward_input
    Tensor q, kv;      // attention's operands; only where the policy keeps them
    KeptRows o;        // its results; gone after backward_input
    Tensor lse;
  };
  Tensor forward(Context& ctx, const Tensor& x, const Pass& pass, Saved& saved) const;
  // x_again: the input, where the policy let forward not keep it; else empty.
  Tensor backward_input(Context& ctx, Tensor dy, const Tensor& x_again, const Pass& pass,
                        Saved& saved) const;
  void backward_weight(Context& ctx, Saved&& saved);

  // What attention on a cache starts from (infer/): the rotated queries [T, H*d_qk], and the rows
  // that the cache keeps, [c_kv (normed) | k_rope (rotated)], [T, d_c + d_r].
  struct QueriesAndLatents {
    Tensor q, latents;
  };
  QueriesAndLatents queries_and_latents(Context& ctx, const Tensor& x, const RopeTable& rope,
                                        std::span<const int32_t> positions) const;
  // The rows alone.
  Tensor latent_rows(Context& ctx, const LinearInput& x, const RopeTable& rope,
                     std::span<const int32_t> positions) const;

 private:
  // x down to the latents: [c_raw | k_rope], and c_q before its norm where there is one.
  struct Latents {
    Tensor latent, c_q;
  };
  Latents latents(Context& ctx, const LinearInput& x) const;
  // What W_UQ multiplies: norm(c_q), or the input itself without a query latent.
  LinearInput query_input(Context& ctx, const LinearInput& x, const Tensor& c_q,
                          RmsNorm::Saved& norm) const;
  // q, rotated, and kv.
  struct QueriesAndKeys {
    Tensor q, kv;
  };
  QueriesAndKeys up_projections(Context& ctx, const LinearInput& c_q, const LinearInput& c,
                                const Pass& pass) const;
  // latent [c_raw | k_rope] as the cache keeps it.
  Tensor cached_rows(Context& ctx, Tensor latent, const RopeTable& rope,
                     std::span<const int32_t> positions) const;
  // The last d_rope columns of q's heads and of the latent rows, as rope turns them: [T, heads, d_r].
  View<float, 3> rope_part(Tensor& q) const;
  View<float, 3> key_rope_part(Tensor& latent) const;
  Tensor c_kv(Context& ctx, const Tensor& latent, Tensor& r) const;
  // Lets latent go, but for k_rope; c is what W_UKV multiplied.
  void keep_c_kv(Context& ctx, const Tensor& latent, const LinearInput& c, Saved& saved) const;
  Tensor latent(Context& ctx, const Saved& saved) const;  // as it waited, or of c_kv
};

}  // namespace hadal
