// kernels/cpu/swiglu.h: ops/swiglu.h in vectors, rows spread over the threads.
#pragma once

#include "hadal/core/thread_pool.h"
#include "hadal/tensor/view.h"

namespace hadal::cpu {

void swiglu_forward(ThreadPool& pool, View<float, 2> h, View<const float, 2> gate,
                    View<const float, 2> up);
void swiglu_backward(ThreadPool& pool, View<float, 2> dgate, View<float, 2> dup,
                     View<const float, 2> dh, View<const float, 2> gate, View<const float, 2> up);

}  // namespace hadal::cpu
