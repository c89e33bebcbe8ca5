// tensor/arena.h: memory that is reused, not returned. A freed block waits for the next request of
// about its size, so that a training step takes nothing from the system after the first one.
// Thread-safe. Blocks are 64-byte aligned, contents undefined. The arena outlives its blocks, and
// its memory the arena.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "hadal/tensor/memory.h"

namespace hadal {

class Arena {
 public:
  struct Block {
    void* data = nullptr;
    int64_t bytes = 0;
  };

  explicit Arena(Memory& memory = host_memory()) : memory_(memory) {}
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  Memory& memory() const { return memory_; }
  Block take(int64_t bytes);  // at least so many; throws what the memory does
  void give_back(const Block& block) noexcept;
  void trim();  // returns all free blocks to the system

  int64_t bytes_in_use() const;
  int64_t bytes_reserved() const;  // in use plus waiting
  int64_t peak_bytes_in_use() const;

 private:
  Memory& memory_;
  mutable std::mutex mutex_;
  std::vector<Block> free_;  // by size
  size_t n_blocks_ = 0;      // handed out and free
  int64_t in_use_ = 0, reserved_ = 0, peak_ = 0;
};

}  // namespace hadal
