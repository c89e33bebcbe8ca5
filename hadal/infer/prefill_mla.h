// infer/prefill_mla.h: attention of a chunk of new rows in MHA form, behind the latent pages.
//
//   [k_n | v] of every cached row = c_kv W_UKV^T, then ordinary attention   (nn/mla.h)
//
// Per cached token and query it costs 2 H (d_nope + d_rope + d_v) operations, the absorbed form 3.4
// times as many in DeepSeek-V3, so this is the form for many rows (infer/absorbed_mla.h for few).
// W_UKV multiplies past rows where they lie, one product per run of adjacent pages.
#pragma once

#include "hadal/infer/latent_pages.h"
#include "hadal/nn/mla.h"

namespace hadal {

// x [T,d] are the next rows of `sequence`; their latents are appended to layer `layer`. Returns u
// [T,d].
Tensor prefill_mla(Context& ctx, const Mla& mla, int64_t layer, const Tensor& x,
                   const RopeTable& rope, LatentSequence& sequence);

}  // namespace hadal
