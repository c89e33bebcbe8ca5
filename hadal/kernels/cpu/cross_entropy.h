// kernels/cpu/cross_entropy.h: ops/cross_entropy.h in vectors, rows spread over the threads.
#pragma once

#include <cstdint>
#include <span>

#include "hadal/core/thread_pool.h"
#include "hadal/tensor/view.h"

namespace hadal::cpu {

void cross_entropy_forward(ThreadPool& pool, View<float, 1> loss, View<const float, 2> logits,
                           std::span<const int32_t> targets);
void cross_entropy_forward_backward(ThreadPool& pool, View<float, 1> loss, View<float, 2> logits,
                                    std::span<const int32_t> targets, float scale);

}  // namespace hadal::cpu
