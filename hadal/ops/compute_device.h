// ops/compute_device.h: what a program computes on: the host, or a GPU with its stream.
//
//   ComputeDevice device(Device::kCuda);
//   Arena arena(device.memory());
//   Context ctx = device.context(pool, arena);
#pragma once

#include <memory>
#include <string>

#include "hadal/kernels/cpu/simd_limit.h"
#include "hadal/kernels/cuda_stream.h"
#include "hadal/tensor/context.h"

namespace hadal {

class ComputeDevice {
 public:
  // Throws Unavailable where the device is not in this build or machine.
  explicit ComputeDevice(Device kind)
      : kind_(kind), stream_(kind == Device::kCuda ? cuda::Stream::open() : nullptr) {}

  Memory& memory() const { return stream_ ? stream_->memory() : host_memory(); }
  // `arena` deals out this device's memory.
  Context context(ThreadPool& pool, Arena& arena) const {
    return {.pool = pool, .arena = arena, .device = kind_, .stream = stream_.get()};
  }

 private:
  Device kind_;
  std::unique_ptr<cuda::Stream> stream_;
};

// Of the host's kernels: "avx512", "avx2", ...
inline std::string instruction_set() { return cpu::simd_in_use(); }

}  // namespace hadal
