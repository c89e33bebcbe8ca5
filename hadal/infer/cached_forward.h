// infer/cached_forward.h: the model over the next rows of one sequence or many, behind latent pages.
#pragma once

#include <span>

#include "hadal/infer/cached_attention.h"
#include "hadal/infer/pass_turns.h"
#include "hadal/model/deepseek_v3.h"
#include "hadal/ops/copy.h"

namespace hadal {

// The residual stream behind the last block, and the same after the final norm: what the head (and,
// by default, the first MTP module) reads. Both [T,d].
struct HiddenRows {
  Tensor hidden, normed;
  // What the first MTP module takes (docs/equations.md, "MTP").
  const Tensor& state(MtpHidden which) const {
    return which == MtpHidden::kPostNorm ? normed : hidden;
  }
};

// The main model over `tokens`, the next rows of the sequences that `attention` serves
// (infer/cached_attention.h). Appends to the pages of the main layers. Without tokens it is the pass of one
// who only shares experts.
HiddenRows cached_forward(Context& ctx, const DeepseekV3& model, std::span<const int32_t> tokens,
                          AttentionForm& attention, PassTurns& turns = local_turns());

// MTP module `module` (0-based) over the rows behind its own pages: state[i] is the state of
// position i from the module before (or the main model), tokens[i] the token module + 1 places
// after it.
HiddenRows cached_mtp_forward(Context& ctx, const DeepseekV3& model, int64_t module,
                              std::span<const int32_t> tokens, const Tensor& state,
                              AttentionForm& attention, PassTurns& turns = local_turns());

// The same rows for the module's pages alone: nobody reads their outputs, so neither attention nor
// experts run.
void cache_mtp_rows(Context& ctx, const DeepseekV3& model, int64_t module,
                    std::span<const int32_t> tokens, const Tensor& state,
                    std::span<const BatchShare> shares);

// Some of some rows: picks[i].to counts from 0 without a gap.
Tensor picked_rows(Context& ctx, const Tensor& rows, std::span<const RowRange> picks);
// The last one, as a matrix of one row.
Tensor last_row(Context& ctx, const Tensor& rows);

}  // namespace hadal
