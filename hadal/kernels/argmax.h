// kernels/argmax.h: the backends of ops/argmax.h.
#pragma once

#include <cstdint>
#include <span>

#include "hadal/core/thread_pool.h"
#include "hadal/kernels/cuda_stream.h"
#include "hadal/tensor/view.h"

namespace hadal::reference {
void argmax_rows(std::span<int64_t> index, View<const float, 2> x) noexcept;
}  // namespace hadal::reference

namespace hadal::cpu {
void argmax_rows(ThreadPool& pool, std::span<int64_t> index, View<const float, 2> x);
}  // namespace hadal::cpu

namespace hadal::cuda {
void argmax_rows(Stream& stream, std::span<int64_t> index, View<const float, 2> x);
}  // namespace hadal::cuda
