// tensor/context.h: what every op needs besides its operands. No global state: threads, memory,
// device and listener travel here.
#pragma once

#include "hadal/core/thread_pool.h"
#include "hadal/tensor/arena.h"
#include "hadal/tensor/probe.h"
#include "hadal/tensor/tensor.h"

namespace hadal::cuda {
class Stream;
}

namespace hadal {

struct Context {
  ThreadPool& pool;
  Arena& arena;  // of the device's memory
  Device device = Device::kCpu;
  cuda::Stream* stream = nullptr;  // kCuda: where its kernels run (ops/compute_device.h)
  Probe* probe = nullptr;

  Tensor empty(Tensor::Shape shape, DType dtype = DType::kF32) const {
    return Tensor::empty(arena, dtype, std::move(shape));
  }
  Tensor zeros(Tensor::Shape shape, DType dtype = DType::kF32) const {
    return Tensor::zeros(arena, dtype, std::move(shape));
  }
};

}  // namespace hadal
