// infer/prefill_mla.h: attention of a chunk of new rows in MHA form, behind the latent pages.
//
//   [k_n | v] of every cached row = c_kv W_UKV^T, then ordinary attention   (nn/mla.h)
//
// Per cached token and query it costs 2 H (d_nope + d_rope + d_v) operations, the absorbed form 3.4
// times as many in DeepSeek-V3, so this is the form for many rows (infer/absorbed_mla.h for few).
// The cached rows go by in parts, so that their keys and values take 64 MB however long the cache is.
// Rows are read as the pages store them, those of the chunk itself too: as decoding will see them. So
// a row's bits do not depend on where the prompt was cut into chunks.
#pragma once

#include "hadal/infer/latent_pages.h"
#include "hadal/nn/mla.h"

namespace hadal {

// o [T,H,d_v] of the rotated queries q [T,H,d_nope+d_rope], which belong to the last rows of
// `sequence`; their latents are in layer `layer` already. However a prompt is cut into such chunks, a
// row's result is the same, bit for bit.
void prefill_attention(Context& ctx, const Mla& mla, int64_t layer, View<float, 3> o,
                       View<const float, 3> q, const LatentSequence& sequence);

}  // namespace hadal
