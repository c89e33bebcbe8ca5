// kernels/cpu/gemm.h: ops/gemm.h and ops/grouped_gemm.h on the CPU.
#pragma once

#include <span>

#include "hadal/core/thread_pool.h"
#include "hadal/tensor/weight_view.h"

namespace hadal::cpu {

void gemm_nt(ThreadPool& pool, View<float, 2> y, View<const float, 2> x, const WeightView& w,
             float beta);
void gemm_nn(ThreadPool& pool, View<float, 2> dx, View<const float, 2> dy, const WeightView& w,
             float beta);
void gemm_tn(ThreadPool& pool, View<float, 2> dw, View<const float, 2> dy, View<const float, 2> x);

void grouped_gemm_nt(ThreadPool& pool, View<float, 2> y, View<const float, 2> x,
                     std::span<const WeightView> w, std::span<const int64_t> offsets);
void grouped_gemm_nn(ThreadPool& pool, View<float, 2> dx, View<const float, 2> dy,
                     std::span<const WeightView> w, std::span<const int64_t> offsets, float beta);
void grouped_gemm_tn(ThreadPool& pool, std::span<const View<float, 2>> dw, View<const float, 2> dy,
                     View<const float, 2> x, std::span<const int64_t> offsets);

}  // namespace hadal::cpu
