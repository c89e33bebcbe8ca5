#include "tests/support/devices.h"

#include <cstring>
#include <new>

#include "hadal/core/error.h"
#include "hadal/kernels/cuda_devices.h"

namespace hadal::test {
namespace {

class NewMemory final : public Memory {
 public:
  bool on_host() const override { return true; }
  void* allocate(int64_t bytes) override {
    return ::operator new (static_cast<size_t>(bytes), std::align_val_t{64});
  }
  void release(void* block) noexcept override { ::operator delete (block, std::align_val_t{64}); }
  void zero(void* to, int64_t bytes) override { std::memset(to, 0, static_cast<size_t>(bytes)); }
  void copy(void* to, const void* from, int64_t bytes) override {
    std::memcpy(to, from, static_cast<size_t>(bytes));
  }
};

}  // namespace

Memory& memory_of_tests() {
  static NewMemory memory;
  return memory;
}

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
  std::vector<Device> devices = computing_devices();
  devices.insert(devices.begin(), Device::kReference);
  return devices;
}

std::vector<Device> computing_devices() {
  std::vector<Device> devices = {Device::kCpu};
  if (has_card()) devices.push_back(Device::kCuda);
  return devices;
}

std::string device_name(Device device) {
  switch (device) {
    case Device::kReference:
      return "reference";
    case Device::kCpu:
      return "cpu";
    case Device::kCuda:
      return "cuda";
  }
  return "";
}

}  // namespace hadal::test
