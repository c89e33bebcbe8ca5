// kernels/cpu/adamw_update.h: ops/adamw_update.h in vectors: one pass over value, m, v and grad.
#pragma once

#include <span>

#include "hadal/core/thread_pool.h"
#include "hadal/kernels/adamw_step.h"
#include "hadal/tensor/dtype.h"

namespace hadal::cpu {

void adamw_update(ThreadPool& pool, std::span<float> value, std::span<float> m, std::span<float> v,
                  std::span<const float> grad, const AdamwStep& step);
void adamw_update(ThreadPool& pool, std::span<float> value, std::span<bf16> m, std::span<bf16> v,
                  std::span<const float> grad, const AdamwStep& step);

}  // namespace hadal::cpu
