// kernels/cuda_devices.h: the GPUs that this process sees. Built with HADAL_CUDA the answer comes
// from the CUDA runtime (kernels/cuda/devices.cu), else from kernels/no_cuda_build.cc.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hadal::cuda {

struct DeviceInfo {
  std::string name;
  int64_t memory_bytes = 0;
  int major = 0, minor = 0;  // compute capability
};

// Throws Unavailable where this build has no CUDA, or the machine no driver.
std::vector<DeviceInfo> devices();

}  // namespace hadal::cuda
