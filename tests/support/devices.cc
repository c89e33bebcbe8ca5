#include "tests/support/devices.h"

#include "hadal/core/error.h"
#include "hadal/kernels/cuda_devices.h"

namespace hadal::test {

bool has_card() {
  static const bool found = [] {
    try {
      return !cuda::devices().empty();
    } catch (const Unavailable&) {
      return false;
    }
  }();
  return found;
}

std::vector<Device> all_devices() {
  std::vector<Device> devices = {Device::kReference, Device::kCpu};
  if (has_card()) devices.push_back(Device::kCuda);
  return devices;
}

}  // namespace hadal::test
