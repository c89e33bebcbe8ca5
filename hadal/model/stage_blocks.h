// model/stage_blocks.h: a stage without the products of its heads: what F, B and W of a stage
// (model/stage.h), a pass on one device (model/training_pass.h) and evaluation (model/forward.h) walk.
#pragma once

#include "hadal/core/function_ref.h"
#include "hadal/model/stage.h"

namespace hadal {

// A head's input is ready: depth 0 is the main head, depth k that of the k-th MTP module. Rows that
// no sequence is long enough for have no head: normed is empty then.
using OnHead = FunctionRef<void(int64_t depth, const Tensor& normed)>;

enum class Keep { kNothing, kForBackward };

// The rows of one pass: their ids, and the ids to predict (may be empty: nobody asks for a loss).
struct TokenRows {
  std::span<const int32_t> tokens, targets;
  Sequences sequences;
};

// Fills saved (with Keep::kForBackward), balance loss and load; rows of the next stage or calls on_head.
// With a probe, offers it hidden, final_norm and mtp.hidden.
StageOutput blocks_forward(Context& ctx, TokenDispatcher& dispatcher, const DeepseekV3& model,
                           const StageCut& cut, Tensor x, const TokenRows& rows,
                           const BalanceLoss& balance, Keep keep, StageSaved& saved, OnHead on_head,
                           const RecomputePolicy& recompute = {});

// dnormed[0] is the gradient of the main head's input, dnormed[k] that of depth k. Returns the
// gradient of the stage's rows; that of embedded tokens stays in saved.
Tensor blocks_backward_input(Context& ctx, TokenDispatcher& dispatcher, const DeepseekV3& model,
                             const StageCut& cut, Tensor drows, std::vector<Tensor> dnormed,
                             StageSaved& saved);
void blocks_backward_weight(Context& ctx, TokenDispatcher& dispatcher, DeepseekV3& model,
                            const StageCut& cut, StageSaved& saved);
// B and W at once: each block's Saved dies as soon as the gradient has passed it.
Tensor blocks_backward(Context& ctx, TokenDispatcher& dispatcher, DeepseekV3& model,
                       const StageCut& cut, Tensor drows, std::vector<Tensor> dnormed,
                       StageSaved& saved);

}  // namespace hadal
