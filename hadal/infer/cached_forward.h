// infer/cached_forward.h: the model over the next rows of one sequence, behind its latent cache.
#pragma once

#include <span>

#include "hadal/infer/latent_kv_cache.h"
#include "hadal/model/deepseek_v3.h"

namespace hadal {

// prefill_mla or absorbed_mla: the caller says which by the number of rows it has.
using CachedAttention = Tensor (*)(Context& ctx, const Mla& mla, const Tensor& x,
                                   const RopeTable& rope, LatentRows& cache);

// The residual stream behind the last block, and the same after the final norm: what the head (and,
// by default, the first MTP module) reads. Both [T,d].
struct HiddenRows {
  Tensor hidden, normed;
  // What the first MTP module takes (spec 01, section 8).
  const Tensor& state(MtpHidden which) const {
    return which == MtpHidden::kPostNorm ? normed : hidden;
  }
};

// The main model over `tokens`, whose first position is cache.length(). Appends to the main layers.
// REQUIRES cache.length() + T <= rope.n_positions().
HiddenRows cached_forward(Context& ctx, const DeepseekV3& model, std::span<const int32_t> tokens,
                          const RopeTable& rope, LatentKvCache& cache, CachedAttention attention);

// MTP module `module` (0-based) over the rows behind its own cache: state[i] is the state of
// position i from the module before (or the main model), tokens[i] the token module + 1 places
// after it.
HiddenRows cached_mtp_forward(Context& ctx, const DeepseekV3& model, int64_t module,
                              std::span<const int32_t> tokens, const Tensor& state,
                              const RopeTable& rope, LatentKvCache& cache,
                              CachedAttention attention);

// The same rows for the module's cache alone: nobody reads their outputs, so neither attention nor
// experts run.
void cache_mtp_rows(Context& ctx, const DeepseekV3& model, int64_t module,
                    std::span<const int32_t> tokens, const Tensor& state, const RopeTable& rope,
                    LatentKvCache& cache);

// The last of some rows, as a matrix of one row.
Tensor last_row(Context& ctx, const Tensor& rows);
// logits [T,V] of normed rows [T,d]
Tensor head_logits(Context& ctx, const DeepseekV3& model, View<const float, 2> normed);

}  // namespace hadal
