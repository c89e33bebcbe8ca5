// kernels/cpu/router.h: ops/router.h over the threads; scores in vectors.
#pragma once

#include <cstdint>
#include <span>

#include "hadal/core/thread_pool.h"
#include "hadal/kernels/router_config.h"
#include "hadal/tensor/view.h"

namespace hadal::cpu {

void route_forward(ThreadPool& pool, View<int32_t, 2> indices, View<float, 2> gates,
                   View<float, 2> scores, View<const float, 2> logits, View<const float, 1> bias,
                   const RouterConfig& config);
void route_backward(ThreadPool& pool, View<float, 2> dlogits, View<const float, 2> dgates,
                    View<const float, 2> dscores_extra, View<const float, 2> scores,
                    View<const int32_t, 2> indices, const RouterConfig& config);
double sequence_balance_loss(ThreadPool& pool, View<float, 2> dscores, View<const float, 2> scores,
                             View<const int32_t, 2> indices,
                             std::span<const int64_t> sequence_offsets, float alpha,
                             float loss_scale, BalanceCount count, int64_t top_k);

}  // namespace hadal::cpu
