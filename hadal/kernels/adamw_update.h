// kernels/adamw_update.h: the backends of ops/adamw_update.h, where the formula stands. Moment:
// float or bf16.
#pragma once

#include <span>

#include "hadal/core/thread_pool.h"
#include "hadal/kernels/adamw_step.h"
#include "hadal/kernels/cuda_stream.h"
#include "hadal/tensor/dtype.h"

namespace hadal::reference {

template <class Moment>
void adamw_update(std::span<float> value, std::span<Moment> m, std::span<Moment> v,
                  std::span<const float> grad, const AdamwStep& step) noexcept;

}  // namespace hadal::reference

namespace hadal::cpu {

// One pass over value, m, v and grad, in vectors.
void adamw_update(ThreadPool& pool, std::span<float> value, std::span<float> m, std::span<float> v,
                  std::span<const float> grad, const AdamwStep& step);
void adamw_update(ThreadPool& pool, std::span<float> value, std::span<bf16> m, std::span<bf16> v,
                  std::span<const float> grad, const AdamwStep& step);

}  // namespace hadal::cpu

namespace hadal::cuda {

void adamw_update(Stream& stream, std::span<float> value, std::span<float> m, std::span<float> v,
                  std::span<const float> grad, const AdamwStep& step);
void adamw_update(Stream& stream, std::span<float> value, std::span<bf16> m, std::span<bf16> v,
                  std::span<const float> grad, const AdamwStep& step);

}  // namespace hadal::cuda
