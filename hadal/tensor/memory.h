// tensor/memory.h: the memory that an arena deals out: the host's, or a device's. Only the kernels of
// its device, zero() and copy() may touch a device's blocks.
#pragma once

#include <cstdint>

namespace hadal {

enum class Device { kReference, kCpu, kCuda };  // the first two compute in the host's memory

class Memory {
 public:
  Memory() = default;
  virtual ~Memory() = default;
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  virtual bool on_host() const = 0;
  virtual void* allocate(int64_t bytes) = 0;  // 64-byte aligned; throws std::bad_alloc, Unavailable
  virtual void release(void* block) noexcept = 0;
  virtual void zero(void* to, int64_t bytes) = 0;
  // Both may lie here or on the host.
  virtual void copy(void* to, const void* from, int64_t bytes) = 0;
};

Memory& host_memory();  // lives as long as the process

}  // namespace hadal
