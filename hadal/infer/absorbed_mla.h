// infer/absorbed_mla.h: attention of a few new rows in absorbed form, on the latent cache itself.
//
//   q~_h = W_UK,h^T q_nope,h     s_h,j = scale (q~_h . c_j + q_rope,h . k_rope,j)
//   o~_h = sum_j p_h,j c_j       o_h = W_UV,h o~_h       u = W_O [o_1; ...]
//
// Source: spec 01, section 5.
//
// W_UK moves into the query and W_UV behind the sum, so a past token costs d_c + d_r values instead
// of H (d_nope + d_v). Decode and the verification of drafts use it; long chunks are cheaper in MHA
// form (infer/prefill_mla.h). Both read the weights of the same nn/mla.
//
// Every row's result is the same, bit for bit, whichever other rows are in the call: what makes
// speculation exact.
#pragma once

#include "hadal/infer/latent_kv_cache.h"
#include "hadal/nn/mla.h"

namespace hadal {

// x [T,d] are the rows behind the cache; their latents are appended to it. Returns u [T,d].
Tensor absorbed_mla(Context& ctx, const Mla& mla, const Tensor& x, const RopeTable& rope,
                    LatentRows& cache);

}  // namespace hadal
