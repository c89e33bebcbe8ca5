// kernels/cpu/permute.h: ops/permute.h in vectors, rows spread over the threads.
// token_of [R], row_of [T*K] as in ExpertRows.
#pragma once

#include <cstdint>
#include <span>

#include "hadal/core/thread_pool.h"
#include "hadal/tensor/view.h"

namespace hadal::cpu {

void gather_rows(ThreadPool& pool, View<float, 2> y, View<const float, 2> x,
                 std::span<const int32_t> token_of);
void gather_rows_backward(ThreadPool& pool, View<float, 2> dx, View<const float, 2> dy,
                          std::span<const int32_t> row_of);
void combine_rows(ThreadPool& pool, View<float, 2> y, View<const float, 2> x,
                  View<const float, 2> gates, std::span<const int32_t> row_of);
void gate_backward(ThreadPool& pool, View<float, 1> dgates, View<float, 2> dh,
                   View<const float, 2> h, View<const float, 1> gates);
void scale_rows(ThreadPool& pool, View<float, 2> x, View<const float, 1> factors);

}  // namespace hadal::cpu
