// ops/attention.h: causal attention in MHA form, with the keys' rotary part shared by all heads.
//
//   s[h,i,j] = scale * (q_n[i,h] . k_n[j,h] + q_r[i,h] . k_rope[j])  for j <= i of a sequence
//   p = softmax_j(s)    o[i,h] = sum_j p[h,i,j] v[j,h]                     (report eq. 10)
//
// Layouts, T rows of `sequences` (H heads, d_n nope, d_r rope, d_v value dims):
//   q      [T, H, d_n + d_r]   nope then rotated rope
//   kv     [T, H, d_n + d_v]   k_n then v, as W_UKV produces them
//   k_rope [T, d_r]            rotated; rows may be strided
//   o      [T, H, d_v]         lse [T, H] = log sum_j exp s, kept for backward
// Scores are never kept: backward forms them again, block by block.
#pragma once

#include "hadal/kernels/attention.h"
#include "hadal/ops/sequences.h"
#include "hadal/tensor/context.h"

namespace hadal {

struct AttentionDims {
  int64_t n_heads = 0, d_nope = 0, d_rope = 0, d_v = 0;
  int64_t d_qk() const { return d_nope + d_rope; }
};

void attention_forward(Context& ctx, View<float, 3> o, View<float, 2> lse, View<const float, 3> q,
                       View<const float, 3> kv, View<const float, 2> k_rope,
                       const Sequences& sequences, const AttentionDims& dims, float scale);

// Overwrites dq, dkv and dk_rope. dk_rope [T, d_r] is the sum over heads, in ascending head order.
// `o_dot_do` is formed inside from o and d_o.
void attention_backward(Context& ctx, View<float, 3> dq, View<float, 3> dkv, View<float, 2> dk_rope,
                        View<const float, 3> d_o, View<const float, 3> q, View<const float, 3> kv,
                        View<const float, 2> k_rope, View<const float, 3> o,
                        View<const float, 2> lse, const Sequences& sequences,
                        const AttentionDims& dims, float scale);

// Prefill of a chunk behind a cache: the rows of q are the last rows of the keys' sequence.
// q [Tq,...], kv and k_rope [Tk,...], Tk >= Tq; query i sees keys 0 .. Tk-Tq+i. One sequence.
void attention_forward_chunk(Context& ctx, View<float, 3> o, View<const float, 3> q,
                             View<const float, 3> kv, View<const float, 2> k_rope,
                             const AttentionDims& dims, float scale);

// The same with some of the keys at a time, so that the keys and values of a long cache are never all
// there at once: kv and k_rope hold the keys part.first, ... of part.n_all. Called for all parts in
// ascending order; what o and state [Tq, H, 2] hold between them is this function's own. The result is
// that of all keys in one part, bit for bit, where parts begin at multiples of kKeyGrain.
inline constexpr int64_t kKeyGrain = 256;
void attention_forward_part(Context& ctx, View<float, 3> o, View<float, 3> state,
                            View<const float, 3> q, View<const float, 3> kv,
                            View<const float, 2> k_rope, KeyPart part, const AttentionDims& dims,
                            float scale);

}  // namespace hadal
