// kernels/no_cuda_build.cc: stands in for kernels/cuda/ in a build without CUDA: defines what the
// .cu files there define.
#include "hadal/core/error.h"
#include "hadal/kernels/cuda_devices.h"

namespace hadal::cuda {

std::vector<DeviceInfo> devices() { throw Unavailable("not in this build (cmake --preset cuda)"); }

}  // namespace hadal::cuda
