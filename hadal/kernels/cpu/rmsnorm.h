// kernels/cpu/rmsnorm.h: ops/rmsnorm.h in vectors; rows or columns are spread over the threads.
#pragma once

#include "hadal/core/thread_pool.h"
#include "hadal/tensor/view.h"

namespace hadal::cpu {

void rmsnorm_forward(ThreadPool& pool, View<float, 2> y, View<float, 1> r, View<const float, 2> x,
                     View<const float, 1> w, float eps);
void rmsnorm_backward_input(ThreadPool& pool, View<float, 2> dx, View<const float, 2> dy,
                            View<const float, 2> x, View<const float, 1> w, View<const float, 1> r,
                            float beta);
void rmsnorm_backward_weight(ThreadPool& pool, View<float, 1> dw, View<const float, 2> dy,
                             View<const float, 2> x, View<const float, 1> r);

}  // namespace hadal::cpu
