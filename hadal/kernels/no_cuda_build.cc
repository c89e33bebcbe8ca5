// kernels/no_cuda_build.cc: stands in for kernels/cuda/ in a build without CUDA: defines what the
// .cu files there define.
#include "hadal/core/error.h"
#include "hadal/kernels/cuda_devices.h"
#include "hadal/kernels/device_memory.h"

namespace hadal::cuda {

constexpr const char* kNotHere = "not in this build (cmake --preset cuda)";

std::vector<DeviceInfo> devices() { throw Unavailable(kNotHere); }
Memory& memory() { throw Unavailable(kNotHere); }

}  // namespace hadal::cuda
