// ops/latent_attention.h: attention in absorbed (MQA) form on the latent cache (docs/equations.md,
// "MLA, absorbed form").
//
//   s[h,j] = scale * (q_latent[i,h] . c[j] + q_rope[i,h] . k_r[j])    p = softmax_j(s)
//   o_latent[i,h] = sum_j p[h,j] c[j]
//
// Queries of several sequences are stacked: q_latent [Tq, H, d_c] is W_UK,h^T q_n; q_rope
// [Tq, H, d_r]. Cached rows [.., d_c + d_r] are the normed latent and the rotated key; they lie in
// pages of 64 rows (kernels/paged_rows.h) and are read in the form in which they are stored
// (kernels/latent_layout.h). A sequence's n queries belong to its last n rows: of Tk rows, query row i
// sees 0 .. Tk-n+i. F32 sums.
//
// Over BF16 and FP8 rows, processors that multiply BF16 pairs (AVX512_BF16) round queries and
// probabilities to BF16 too, which is twice as fast: an error of the size that storing the rows has.
// F32 rows are exact everywhere.
//
// A query's result is the same, bit for bit, whichever other queries and sequences are in the call
// and wherever its pages lie.
#pragma once

#include "hadal/kernels/latent_layout.h"
#include "hadal/tensor/context.h"
#include "hadal/tensor/weight_view.h"

namespace hadal {

// o_latent rows of queries that belong to no sequence are left alone.
void latent_attention(Context& ctx, View<float, 3> o_latent, View<const float, 3> q_latent,
                      View<const float, 3> q_rope, const LatentPagesView& pages,
                      std::span<const SequenceRows> sequences, float scale);

// The two products per head around it, W_UKV [H*(d_n+d_v), d_c] (per head: d_n rows of W_UK, then d_v
// rows of W_UV). All heads are one list of ops/gemm.h.
//   q_latent[t,h,:] = q_nope[t,h,:] W_UK,h          [Tq,H,d_n] x [d_n,d_c]
//   o[t,h,:]        = o_latent[t,h,:] W_UV,h^T      [Tq,H,d_c] x [d_v,d_c]^T
void absorb_query(Context& ctx, View<float, 3> q_latent, View<const float, 3> q_nope,
                  const WeightView& w_ukv);
void expand_value(Context& ctx, View<float, 3> o, View<const float, 3> o_latent,
                  const WeightView& w_ukv);

}  // namespace hadal
