// ops/cross_entropy.h: softmax cross entropy of each row, with its gradient in place.
//
//   loss[t] = log sum_v exp logits[t,v] - logits[t, target[t]]
//   logits[t,v] <- scale * (softmax(logits[t])[v] - [v == target[t]])
// target -1: the row is ignored (loss 0, gradient 0). Sums in f64 where they cross the vocabulary.
#pragma once

#include <span>

#include "hadal/tensor/context.h"

namespace hadal {

void cross_entropy_forward_backward(Context& ctx, View<float, 1> loss, View<float, 2> logits,
                                    std::span<const int32_t> targets, float scale);
// The loss alone; logits stay.
void cross_entropy_forward(Context& ctx, View<float, 1> loss, View<const float, 2> logits,
                           std::span<const int32_t> targets);

}  // namespace hadal
