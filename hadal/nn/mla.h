// nn/mla.h: multi-head latent attention, MHA form (report eq. 1-11; spec 01 section 2).
//
//   c_q = norm(x W_DQ^T)              q = c_q W_UQ^T  (or x W_Q^T without a query latent)
//   [c_raw | k_rope] = x W_DKV^T      c_kv = norm(c_raw)      [k_n | v] per head = c_kv W_UKV^T
//   u = attention(q, kv, k_rope) W_O^T
#pragma once

#include <optional>
#include <span>

#include "hadal/nn/linear.h"
#include "hadal/nn/rmsnorm.h"
#include "hadal/ops/attention.h"
#include "hadal/ops/rope_yarn.h"

namespace hadal {

struct Mla {
  AttentionDims dims;
  int64_t kv_lora_rank = 0;
  float softmax_scale = 0.0F;

  std::optional<Linear> w_dq;      // [q_lora_rank, d_model]     q_a_proj
  std::optional<RmsNorm> q_norm;   //                            q_a_layernorm
  Linear w_uq;                     // [H*d_qk, q_lora_rank], or w_q [H*d_qk, d_model] without latent
  Linear w_dkv;                    // [kv_lora_rank + d_rope, d_model]  kv_a_proj_with_mqa
  RmsNorm kv_norm;                 //                            kv_a_layernorm
  Linear w_ukv;                    // [H*(d_nope+d_v), kv_lora_rank]    kv_b_proj
  Linear w_o;                      // [d_model, H*d_v]

  struct Saved {
    Linear::Saved w_dq, w_uq, w_dkv, w_ukv, w_o;
    RmsNorm::Saved q_norm, kv_norm;
    Tensor q, kv, k_rope, o, lse;
  };
  Tensor forward(Context& ctx, const Tensor& x, const Sequences& sequences, const RopeTable& rope,
                 Saved& saved) const;
  Tensor backward_input(Context& ctx, Tensor dy, const Sequences& sequences, const RopeTable& rope,
                        Saved& saved) const;
  void backward_weight(Context& ctx, Saved&& saved);

  // The rows that the cache keeps: [c_kv (normed) | k_rope (rotated)], [T, d_c + d_r], and the
  // rotated queries [T, H*d_qk]. Shared by prefill and absorbed decode (infer/).
  Tensor latent_rows(Context& ctx, const Tensor& x, const RopeTable& rope,
                     std::span<const int32_t> positions) const;
  Tensor queries(Context& ctx, const Tensor& x, const RopeTable& rope,
                 std::span<const int32_t> positions) const;
};

}  // namespace hadal
