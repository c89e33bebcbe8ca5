// kernels/cross_entropy.h: the backends of ops/cross_entropy.h; formulas there.
#pragma once

#include <cstdint>
#include <span>

#include "hadal/core/thread_pool.h"
#include "hadal/kernels/cuda_stream.h"
#include "hadal/tensor/view.h"

namespace hadal::reference {  // Real: float or double

template <class Real>
void cross_entropy_forward(View<Real, 1> loss, View<const Real, 2> logits,
                           std::span<const int32_t> targets) noexcept;
template <class Real>
void cross_entropy_forward_backward(View<Real, 1> loss, View<Real, 2> logits,
                                    std::span<const int32_t> targets, double scale) noexcept;

}  // namespace hadal::reference

namespace hadal::cpu {

void cross_entropy_forward(ThreadPool& pool, View<float, 1> loss, View<const float, 2> logits,
                           std::span<const int32_t> targets);
void cross_entropy_forward_backward(ThreadPool& pool, View<float, 1> loss, View<float, 2> logits,
                                    std::span<const int32_t> targets, float scale);

}  // namespace hadal::cpu

namespace hadal::cuda {

void cross_entropy_forward(Stream& stream, View<float, 1> loss, View<const float, 2> logits,
                           std::span<const int32_t> targets);
void cross_entropy_forward_backward(Stream& stream, View<float, 1> loss, View<float, 2> logits,
                                    std::span<const int32_t> targets, float scale);

}  // namespace hadal::cuda
