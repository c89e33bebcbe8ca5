// model/head.h: the two shared tables at the ends of the model, used by the main model and by every
// MTP module, and the loss between them.
#pragma once

#include "hadal/core/function_ref.h"
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

// Of the rows of one head, kHeadChunkRows at a time and in their order: logits, cross entropy and its gradient,
// which use_gradient gets (dlogits [rows,V], the first row's place). Returns the loss: the mean over the
// global batch's targets. [T,V] logits never exist.
using UseGradient = FunctionRef<void(View<const float, 2> dlogits, int64_t begin, int64_t end)>;
constexpr int64_t kHeadChunkRows = 256;
double head_losses(Context& ctx, const DeepseekV3& model, const HeadRows& head, double per_target,
                   UseGradient use_gradient);

// dnormed = dlogits W_head
void head_backward_input(Context& ctx, View<float, 2> dnormed, const DeepseekV3& model,
                         View<const float, 2> dlogits);
// dW_head += dlogits^T normed
void head_backward_weight(Context& ctx, DeepseekV3& model, View<const float, 2> dlogits,
                          View<const float, 2> normed);

}  // namespace hadal
