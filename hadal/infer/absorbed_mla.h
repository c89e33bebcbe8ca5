// infer/absorbed_mla.h: attention of a few new rows in absorbed form, on the latent cache itself.
//
//   q~_h = W_UK,h^T q_nope,h     s_h,j = scale (q~_h . c_j + q_rope,h . k_rope,j)
//   o~_h = sum_j p_h,j c_j       o_h = W_UV,h o~_h       u = W_O [o_1; ...]
//
// W_UK moves into the query and W_UV behind the sum, so a past token costs d_c + d_r values instead
// of H (d_nope + d_v). Decode and the verification of drafts use it; long chunks are cheaper in MHA
// form (infer/prefill_mla.h). Both read the weights of the same nn/mla.
//
// Every row's result is the same, bit for bit, whichever other rows and sequences are in the call:
// what makes speculation exact, and a request's tokens its own.
#pragma once

#include "hadal/infer/cached_attention.h"
#include "hadal/nn/mla.h"

namespace hadal {

// o [T,H,d_v] of the rotated queries q [T,H,d_nope+d_rope], which belong to the last rows of the
// sequences in `batch`, T in all; their latents are in layer `layer` already.
void absorbed_attention(Context& ctx, const Mla& mla, int64_t layer, View<float, 3> o,
                        View<const float, 3> q, std::span<const BatchShare> batch);

}  // namespace hadal
