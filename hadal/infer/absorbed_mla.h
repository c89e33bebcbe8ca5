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

namespace hadal {

// x [T,d] are the next rows of the sequences in `batch`, which has T in all; their latents are
// appended to layer `layer`. Returns u [T,d].
Tensor absorbed_mla(Context& ctx, const Mla& mla, int64_t layer, const Tensor& x,
                    const RopeTable& rope, std::span<const BatchShare> batch);

}  // namespace hadal
