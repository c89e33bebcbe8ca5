// model/forward.h: the model over whole sequences, for evaluation, dump and comparison: logits of
// every row, nothing kept. Text is generated behind a cache instead (infer/cached_forward.h).
#pragma once

#include <span>
#include <vector>

#include "hadal/model/stage.h"

namespace hadal {

struct EvalOutput {
  Tensor logits;                   // [T, V]
  std::vector<Tensor> mtp_logits;  // depth k: rows of each sequence s are its first length-k rows
};
// Of the heads behind a forward pass that kept nothing else.
EvalOutput head_outputs(Context& ctx, const DeepseekV3& model, StageSaved& saved);
// With a probe in ctx, offers it hidden, final_norm, logits and the MTP modules' hidden and logits.
EvalOutput forward_logits(Context& ctx, const DeepseekV3& model, std::span<const int32_t> tokens,
                          const Sequences& sequences, bool with_mtp);

}  // namespace hadal
