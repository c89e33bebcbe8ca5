#include "hadal/core/error.h"
#include "hadal/kernels/cuda_devices.h"
#include "hadal/kernels/device_memory.h"

namespace hadal::cuda {
namespace {

void expect(cudaError_t error, const char* what, int64_t bytes) {
  if (error == cudaSuccess) return;
  throw Unavailable(concat("cuda: ", what, " of ", bytes, " bytes: ", cudaGetErrorString(error)));
}

class DeviceMemory final : public Memory {
 public:
  bool on_host() const override { return false; }
  void* allocate(int64_t bytes) override {
    void* block = nullptr;
    expect(cudaMalloc(&block, static_cast<size_t>(bytes)), "allocation", bytes);
    return block;
  }
  void release(void* block) noexcept override { cudaFree(block); }
  void zero(void* to, int64_t bytes) override {
    expect(cudaMemset(to, 0, static_cast<size_t>(bytes)), "zeroing", bytes);
  }
  void copy(void* to, const void* from, int64_t bytes) override {
    expect(cudaMemcpy(to, from, static_cast<size_t>(bytes), cudaMemcpyDefault), "copy", bytes);
  }
};

}  // namespace

Memory& memory() {
  if (devices().empty()) throw Unavailable("cuda: this machine has no GPU");
  static DeviceMemory memory;
  return memory;
}

}  // namespace hadal::cuda
