// The card that the host stands in for.
#include "hadal/kernels/cuda_devices.h"

namespace hadal::cuda {

std::vector<DeviceInfo> devices() {
  return {{"threads of a block in turn", int64_t{64} << 30, 9, 0}};
}

}  // namespace hadal::cuda
