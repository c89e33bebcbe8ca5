// model/head.h: the two shared tables at the ends of the model, used by the main model and by every
// MTP module, and the loss between them.
#pragma once

#include "hadal/model/deepseek_v3.h"

namespace hadal {

// ShapeError unless there are as many tokens as rows and the rotary table is long enough.
void check_tokens(const DeepseekV3& model, size_t n_tokens, const Sequences& sequences);

Tensor embed(Context& ctx, const DeepseekV3& model, std::span<const int32_t> tokens);

// logits [T,V] = normed [T,d] W_head^T
void head_forward(Context& ctx, View<float, 2> logits, const DeepseekV3& model,
                  View<const float, 2> normed);

// Cross entropy of all rows, summed, times `scale`. Turns logits into the loss's gradient.
double head_loss(Context& ctx, View<float, 2> logits, std::span<const int32_t> targets,
                 double scale, float gradient_scale);

// dnormed = dlogits W_head
void head_backward_input(Context& ctx, View<float, 2> dnormed, const DeepseekV3& model,
                         View<const float, 2> dlogits);
// dW_head += dlogits^T normed
void head_backward_weight(Context& ctx, DeepseekV3& model, View<const float, 2> dlogits,
                          View<const float, 2> normed);

// The rows that the fused pass gives the head at a time.
inline constexpr int64_t kHeadChunkRows = 256;

}  // namespace hadal
