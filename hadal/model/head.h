// model/head.h: the two shared tables at the ends of the model, used by the main model and by every
// MTP module, and the loss between them.
#pragma once

#include "hadal/model/deepseek_v3.h"
#include "hadal/model/stage.h"

namespace hadal {

// ShapeError unless the rotary table has so many positions: who makes a session or an engine calls
// ensure_rope first.
void expect_positions(const DeepseekV3& model, int64_t n_positions);
// ShapeError unless there are as many tokens as rows and the rotary table is long enough.
void check_tokens(const DeepseekV3& model, size_t n_tokens, const Sequences& sequences);

Tensor embed(Context& ctx, const DeepseekV3& model, std::span<const int32_t> tokens);

// logits [T,V] = normed [T,d] W_head^T
void head_forward(Context& ctx, View<float, 2> logits, const DeepseekV3& model,
                  View<const float, 2> normed);
Tensor head_logits(Context& ctx, const DeepseekV3& model, View<const float, 2> normed);

// What one head adds to the loss: its rows, their targets and its weight in the total.
struct HeadPart {
  const Tensor& normed;  // [T,d]
  std::span<const int32_t> targets;
  double weight;
  double& loss;  // in a LossParts
};
// Of the main head and of every depth that has rows. Refers into its arguments.
std::vector<HeadPart> head_parts(const MicroBatch& batch, const LossWeights& weights,
                                 const StageSaved& saved, LossParts& loss);

// Cross entropy of all rows, summed, times `scale`. Turns logits into the loss's gradient.
double head_loss(Context& ctx, View<float, 2> logits, std::span<const int32_t> targets,
                 double scale, float gradient_scale);

// dnormed = dlogits W_head
void head_backward_input(Context& ctx, View<float, 2> dnormed, const DeepseekV3& model,
                         View<const float, 2> dlogits);
// dW_head += dlogits^T normed
void head_backward_weight(Context& ctx, DeepseekV3& model, View<const float, 2> dlogits,
                          View<const float, 2> normed);

}  // namespace hadal
