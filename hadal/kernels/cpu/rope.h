// kernels/cpu/rope.h: ops/rope_yarn.h, rows spread over the threads.
#pragma once

#include <cstdint>
#include <span>

#include "hadal/core/thread_pool.h"
#include "hadal/tensor/view.h"

namespace hadal::cpu {

// direction +1 turns forward, -1 back.
void rope_turn(ThreadPool& pool, View<float, 3> x, View<const float, 2> cos,
               View<const float, 2> sin, std::span<const int32_t> positions, int direction);

}  // namespace hadal::cpu
