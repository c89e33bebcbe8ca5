// infer/mixed_mla.h: attention of one pass over the next rows of many sequences, some in absorbed form
// and some in MHA form. The products before and behind attention see all rows together, so the
// weights are read once whoever is in the pass.
//
// Rows stand as the shares do: those in absorbed form first, then those in MHA form. Which form a row
// gets is its owner's matter (infer/sequence.h); its bits do not depend on the other rows.
#pragma once

#include "hadal/infer/absorbed_mla.h"
#include "hadal/infer/prefill_mla.h"

namespace hadal {

// x [T,d] are the next rows of the sequences, T in all; their latents are appended to layer `layer`.
// Returns u [T,d].
Tensor mixed_mla(Context& ctx, const Mla& mla, int64_t layer, const Tensor& x,
                 const RopeTable& rope, std::span<const BatchShare> absorbed,
                 std::span<const BatchShare> prefill);

}  // namespace hadal
