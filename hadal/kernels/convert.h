// kernels/convert.h: the backends of ops/convert.h. Both tensors are F32, BF16 or F16 and of one
// size.
#pragma once

#include "hadal/core/thread_pool.h"
#include "hadal/kernels/cuda_stream.h"
#include "hadal/tensor/tensor.h"

namespace hadal::reference {

void convert(Tensor& to, const Tensor& from);
// Elements [begin, end) only: the body that every CPU thread runs on its share.
void convert_range(Tensor& to, const Tensor& from, int64_t begin, int64_t end);

}  // namespace hadal::reference

namespace hadal::cpu {
void convert(ThreadPool& pool, Tensor& to, const Tensor& from);
}  // namespace hadal::cpu

namespace hadal::cuda {
void convert(Stream& stream, Tensor& to, const Tensor& from);
}  // namespace hadal::cuda
