// measure/saved_activations.h: what waits between F and B of one micro-batch, by the arena's account.
#pragma once

#include "hadal/model/deepseek_v3.h"
#include "hadal/tensor/context.h"

namespace hadal {

// Bytes a token of all decoder layers' Saved, for one sequence of `tokens` random ids: embedding, heads
// and MTP modules left out.
double saved_bytes_per_token(Context& ctx, const DeepseekV3& model, int64_t tokens, uint64_t seed);

}  // namespace hadal
