#include "hadal/core/error.h"
#include "hadal/kernels/cuda_devices.h"

namespace hadal::cuda {

std::vector<DeviceInfo> devices() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess) throw Unavailable(cudaGetErrorString(error));
  std::vector<DeviceInfo> result;
  for (int device = 0; device < count; ++device) {
    cudaDeviceProp properties{};
    if (cudaGetDeviceProperties(&properties, device) != cudaSuccess) continue;
    result.push_back({properties.name, static_cast<int64_t>(properties.totalGlobalMem),
                      properties.major, properties.minor});
  }
  return result;
}

}  // namespace hadal::cuda
