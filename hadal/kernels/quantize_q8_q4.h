// kernels/quantize_q8_q4.h: the backends of ops/quantize_q8_q4.h. Rows do not know of each other:
// the reference on a few of them is what every CPU thread runs.
#pragma once

#include "hadal/core/thread_pool.h"
#include "hadal/kernels/cuda_stream.h"
#include "hadal/tensor/dtype.h"
#include "hadal/tensor/view.h"

namespace hadal::reference {

void quantize_q8(View<int8_t, 2> codes, View<bf16, 2> scales, View<const float, 2> w) noexcept;
void quantize_q4(View<uint8_t, 2> codes, View<bf16, 2> scales, View<const float, 2> w) noexcept;

}  // namespace hadal::reference

namespace hadal::cpu {

void quantize_q8(ThreadPool& pool, View<int8_t, 2> codes, View<bf16, 2> scales,
                 View<const float, 2> w);
void quantize_q4(ThreadPool& pool, View<uint8_t, 2> codes, View<bf16, 2> scales,
                 View<const float, 2> w);

}  // namespace hadal::cpu

namespace hadal::cuda {

void quantize_q8(Stream& stream, View<int8_t, 2> codes, View<bf16, 2> scales,
                 View<const float, 2> w);
void quantize_q4(Stream& stream, View<uint8_t, 2> codes, View<bf16, 2> scales,
                 View<const float, 2> w);

}  // namespace hadal::cuda
