// ops/router.h: choice of experts (report eq. 12-16; docs/equations.md, "Router").
//
//   noaux_tc              score = sigmoid(logits); choice = score + route_bias; group score = sum
//                         of its two largest choices; best topk_group groups; top_k of them
//   group_limited_greedy  choice = score; group score = its largest
//   greedy                no groups
// gates = scores of the chosen (never the biased ones), normalised if norm_topk_prob, times
// routed_scaling_factor. Excluded groups count as -infinity. Ties go to the lower expert id.
// indices[t,:] ascend, gates stand in the same order.
#pragma once

#include "hadal/kernels/router_config.h"
#include "hadal/ops/sequences.h"
#include "hadal/tensor/context.h"

namespace hadal {

// logits [T,E] -> scores [T,E], indices [T,K], gates [T,K]. route_bias [E], read by noaux_tc only.
void route_forward(Context& ctx, View<int32_t, 2> indices, View<float, 2> gates,
                   View<float, 2> scores, View<const float, 2> logits,
                   View<const float, 1> route_bias, const RouterConfig& config);

// The choice is given: scores [T,E] from logits [T,E], and the gates [T,K] of the experts in indices.
// Unavailable on a card.
void route_chosen(Context& ctx, View<float, 2> gates, View<float, 2> scores,
                  View<const float, 2> logits, View<const int32_t, 2> indices,
                  const RouterConfig& config);

// dlogits [T,E] (overwritten) from dgates [T,K]; the choice counts as constant. dscores_extra [T,E]
// (may be empty, data() == nullptr) is a gradient that reaches the scores past the gates: the
// balance loss.
void route_backward(Context& ctx, View<float, 2> dlogits, View<const float, 2> dgates,
                    View<const float, 2> dscores_extra, View<const float, 2> scores,
                    View<const int32_t, 2> indices, const RouterConfig& config);

// Sequence-wise balance loss, averaged over the sequences:  alpha * sum_i f_i P_i,
//   f_i = E/(K L) * count_i,  P_i = mean_t s_i,t / sum_j s_j,t.     Returns the loss, alpha
// included, and, when dscores.data() is not null, adds loss_scale * gradient through P to dscores.
double sequence_balance_loss(Context& ctx, View<float, 2> dscores, View<const float, 2> scores,
                             View<const int32_t, 2> indices, const Sequences& sequences,
                             float alpha, float loss_scale, BalanceCount count,
                             const RouterConfig& config);

}  // namespace hadal
