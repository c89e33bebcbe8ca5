// kernels/router.h: the backends of ops/router.h; formulas there. sequence_offsets [S+1] divide
// the rows; dscores and dscores_extra may have no data.
#pragma once

#include <cstdint>
#include <span>

#include "hadal/core/thread_pool.h"
#include "hadal/kernels/cuda_stream.h"
#include "hadal/kernels/router_config.h"
#include "hadal/tensor/view.h"

namespace hadal::reference {  // Real: float or double

// scores = sigmoid or softmax of the logits, row by row.
template <class Real>
void router_scores(View<Real, 2> scores, View<const Real, 2> logits,
                   ScoringFunction scoring) noexcept;

// indices [T,K] of the chosen experts, ascending. bias [E] is read by noaux_tc only.
template <class Real>
void router_choose(View<int32_t, 2> indices, View<const Real, 2> scores, View<const Real, 1> bias,
                   const RouterConfig& config) noexcept;

// gates [T,K] from the scores of the chosen experts.
template <class Real>
void router_gates(View<Real, 2> gates, View<const Real, 2> scores, View<const int32_t, 2> indices,
                  const RouterConfig& config) noexcept;

template <class Real>
void route_backward(View<Real, 2> dlogits, View<const Real, 2> dgates,
                    View<const Real, 2> dscores_extra, View<const Real, 2> scores,
                    View<const int32_t, 2> indices, const RouterConfig& config) noexcept;

template <class Real>
double sequence_balance_loss(View<Real, 2> dscores, View<const Real, 2> scores,
                             View<const int32_t, 2> indices,
                             std::span<const int64_t> sequence_offsets, double alpha,
                             double loss_scale, BalanceCount count, int64_t top_k);

}  // namespace hadal::reference

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

namespace hadal::cuda {

void route_forward(Stream& stream, View<int32_t, 2> indices, View<float, 2> gates,
                   View<float, 2> scores, View<const float, 2> logits, View<const float, 1> bias,
                   const RouterConfig& config);
void route_backward(Stream& stream, View<float, 2> dlogits, View<const float, 2> dgates,
                    View<const float, 2> dscores_extra, View<const float, 2> scores,
                    View<const int32_t, 2> indices, const RouterConfig& config);
double sequence_balance_loss(Stream& stream, View<float, 2> dscores, View<const float, 2> scores,
                             View<const int32_t, 2> indices,
                             std::span<const int64_t> sequence_offsets, float alpha,
                             float loss_scale, BalanceCount count, int64_t top_k);

}  // namespace hadal::cuda
