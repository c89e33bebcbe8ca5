// tensor/arena.h: memory that is reused, not returned. A freed block waits for the next request of
// about its size, so that a training step takes nothing from the system after the first one.
// Thread-safe. Blocks are 64-byte aligned, contents undefined. The arena outlives its blocks, and
// its memory the arena.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>

#include "hadal/tensor/memory.h"

namespace hadal {

class Arena {
 public:
  explicit Arena(Memory& memory = host_memory()) : memory_(memory) {}
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  Memory& memory() const { return memory_; }
  void* take(int64_t bytes);  // throws what the memory does
  void give_back(void* block, int64_t bytes) noexcept;
  void trim();  // returns all free blocks to the system

  int64_t bytes_in_use() const;
  int64_t bytes_reserved() const;  // in use plus waiting
  int64_t peak_bytes_in_use() const;

 private:
  Memory& memory_;
  mutable std::mutex mutex_;
  std::multimap<int64_t, void*> free_;  // by capacity
  std::map<void*, int64_t> capacity_;   // of every block handed out
  int64_t in_use_ = 0, reserved_ = 0, peak_ = 0;
};

}  // namespace hadal
