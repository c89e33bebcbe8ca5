// tensor/reserved_memory.h: a range of addresses taken at once whose memory arrives page by page,
// when it is first written. What lies there never moves, so something that grows (the latent cache)
// needs no copy and its kernels see plain rows: the processor's page table is the block table. A
// device's memory is all there from the start.
#pragma once

#include <cstdint>
#include <utility>

#include "hadal/tensor/memory.h"

namespace hadal {

class ReservedMemory {
 public:
  ReservedMemory() = default;
  // Zeros; Unavailable if the system refuses.
  explicit ReservedMemory(int64_t bytes, Memory& memory = host_memory());
  ~ReservedMemory();
  ReservedMemory(ReservedMemory&& other) noexcept { *this = std::move(other); }
  ReservedMemory& operator=(ReservedMemory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(memory_, other.memory_);
    return *this;
  }

  void* data() const { return data_; }
  int64_t bytes() const { return bytes_; }

 private:
  void* data_ = nullptr;
  int64_t bytes_ = 0;
  Memory* memory_ = &host_memory();
};

}  // namespace hadal
