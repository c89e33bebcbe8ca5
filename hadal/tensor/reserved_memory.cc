#include "hadal/tensor/reserved_memory.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include "hadal/core/error.h"

namespace hadal {

ReservedMemory::ReservedMemory(int64_t bytes, Memory& memory) : bytes_(bytes), memory_(&memory) {
  if (bytes == 0) return;
  if (!memory.on_host()) {
    data_ = memory.allocate(bytes);
    memory.zero(data_, bytes);
    return;
  }
  // MAP_NORESERVE: a long context is usually not filled, so it must not count against the memory
  // that the system is ready to promise.
  void* const block = mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (block == MAP_FAILED) {
    throw Unavailable(concat("memory: the system refused to reserve addresses (found ",
                             std::strerror(errno), ", expected ", bytes,
                             " bytes); ask for a shorter context"));
  }
  data_ = block;
}

ReservedMemory::~ReservedMemory() {
  if (data_ == nullptr) return;
  if (memory_->on_host()) {
    munmap(data_, static_cast<size_t>(bytes_));
  } else {
    memory_->release(data_);
  }
}

}  // namespace hadal
