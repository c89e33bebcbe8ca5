// kernels/cpu/elementwise.h: ops/elementwise.h in vectors.
#pragma once

#include <cstdint>
#include <span>

#include "hadal/core/thread_pool.h"

namespace hadal::cpu {

void add(ThreadPool& pool, std::span<float> y, std::span<const float> x);
void scale(ThreadPool& pool, std::span<float> y, float factor);
double sum_of_squares(ThreadPool& pool, std::span<const float> x);
int64_t count_not_finite(ThreadPool& pool, std::span<const float> x);

}  // namespace hadal::cpu
