// kernels/cpu/embedding.h: ops/embedding.h over the threads.
#pragma once

#include <cstdint>
#include <span>

#include "hadal/core/thread_pool.h"
#include "hadal/tensor/view.h"
#include "hadal/tensor/weight_view.h"

namespace hadal::cpu {

void embedding_forward(ThreadPool& pool, View<float, 2> x, const WeightView& w,
                       std::span<const int32_t> ids);
void embedding_backward_weight(ThreadPool& pool, View<float, 2> dw, View<const float, 2> dx,
                               std::span<const int32_t> ids);

}  // namespace hadal::cpu
