// ops/memory_of.h: where the operands of a device's ops lie. Contexts of a device take an arena of it.
#pragma once

#include "hadal/kernels/device_memory.h"

namespace hadal {

// Throws Unavailable where the device is not in this build or machine.
inline Memory& memory_of(Device device) {
  switch (device) {
    case Device::kReference:
    case Device::kCpu:
      return host_memory();
    case Device::kCuda:
      break;
  }
  return cuda::memory();
}

}  // namespace hadal
