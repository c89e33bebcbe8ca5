// nn/mla.h: multi-head latent attention, MHA form (report eq. 1-11; spec 01 section 2).
//
//   c_q = norm(x W_DQ^T)              q = c_q W_UQ^T  (or x W_Q^T without a query latent)
//   [c_raw | k_rope] = x W_DKV^T      c_kv = norm(c_raw)      [k_n | v] per head = c_kv W_UKV^T
//   u = attention(q, kv, k_rope) W_O^T
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "hadal/nn/linear.h"
#include "hadal/nn/rmsnorm.h"
#include "hadal/ops/attention.h"
#include "hadal/ops/rope_yarn.h"

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
    Tensor latent;         // [T, d_c + d_r]: c_raw, then k_rope (rotated)
    Tensor kv_norm_r;      // [T]
    Tensor dc_kv;          // [T, d_c] gradient of c_kv, written by backward_input
    Tensor q, kv, o, lse;  // attention's operands and results; gone after backward_input
    // The input may be dropped after forward and handed back before backward_input.
    void drop_input();
    void restore_input(const Tensor& x, bool has_query_latent);
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

 private:
  Tensor queries(Context& ctx, const Tensor& x, const RopeTable& rope,
                 std::span<const int32_t> positions, Saved& saved) const;
  Tensor rotated_queries(Context& ctx, const Tensor& c_q, const RopeTable& rope,
                         std::span<const int32_t> positions) const;
  // The last d_rope columns of q's heads and of the latent rows, as rope turns them: [T, heads,
  // d_r].
  View<float, 3> rope_part(Tensor& q) const;
  View<float, 3> key_rope_part(Tensor& latent) const;
  Tensor c_kv(Context& ctx, const Tensor& latent, Tensor& r) const;
};

// Row of each token within its sequence.
std::vector<int32_t> positions_of(const Sequences& sequences);

}  // namespace hadal
