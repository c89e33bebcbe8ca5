// infer/prefill_mla.h: attention of a chunk of new rows in MHA form, behind the latent cache.
//
//   [k_n | v] of every cached row = c_kv W_UKV^T, then ordinary attention
//
// Source: spec 01, section 2.
//
// Per cached token and query it costs 2 H (d_nope + d_rope + d_v) operations, the absorbed form 3.4
// times as many in DeepSeek-V3, so this is the form for many rows (infer/absorbed_mla.h for few).
#pragma once

#include "hadal/infer/latent_kv_cache.h"
#include "hadal/nn/mla.h"

namespace hadal {

// x [T,d] are the rows behind the cache; their latents are appended to it. Returns u [T,d].
Tensor prefill_mla(Context& ctx, const Mla& mla, const Tensor& x, const RopeTable& rope,
                   LatentRows& cache);

}  // namespace hadal
