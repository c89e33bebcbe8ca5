// kernels/embedding.h: the backends of ops/embedding.h.
#pragma once

#include <cstdint>
#include <span>

#include "hadal/core/thread_pool.h"
#include "hadal/kernels/cuda_stream.h"
#include "hadal/tensor/weight_view.h"

namespace hadal::reference {  // Real: float or double

void embedding_forward(View<float, 2> x, const WeightView& w, std::span<const int32_t> ids);
template <class Real>
void embedding_backward_weight(View<Real, 2> dw, View<const Real, 2> dx,
                               std::span<const int32_t> ids) noexcept;

}  // namespace hadal::reference

namespace hadal::cpu {

void embedding_forward(ThreadPool& pool, View<float, 2> x, const WeightView& w,
                       std::span<const int32_t> ids);
void embedding_backward_weight(ThreadPool& pool, View<float, 2> dw, View<const float, 2> dx,
                               std::span<const int32_t> ids);

}  // namespace hadal::cpu

namespace hadal::cuda {

void embedding_forward(Stream& stream, View<float, 2> x, const WeightView& w,
                       std::span<const int32_t> ids);
void embedding_backward_weight(Stream& stream, View<float, 2> dw, View<const float, 2> dx,
                               std::span<const int32_t> ids);

}  // namespace hadal::cuda
