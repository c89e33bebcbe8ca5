#include "hadal/tensor/memory.h"

#include <cstring>
#include <new>

namespace hadal {
namespace {

constexpr std::align_val_t kAlignment{64};

class HostMemory final : public Memory {
 public:
  bool on_host() const override { return true; }
  void* allocate(int64_t bytes) override {
    return ::operator new(static_cast<size_t>(bytes), kAlignment);
  }
  void release(void* block) noexcept override { ::operator delete(block, kAlignment); }
  void zero(void* to, int64_t bytes) override { std::memset(to, 0, static_cast<size_t>(bytes)); }
  void copy(void* to, const void* from, int64_t bytes) override {
    std::memcpy(to, from, static_cast<size_t>(bytes));
  }
};

}  // namespace

Memory& host_memory() {
  static HostMemory memory;
  return memory;
}

}  // namespace hadal
