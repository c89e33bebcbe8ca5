// In a build with CUDA, all that tests get from `new` lies in memory that the host and the card both see
// (locked pages), so that a test's own vectors are operands of kernels. Without a card it is plain memory.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <mutex>
#include <new>

namespace {

class Pool {
 public:
  void* take(size_t bytes) {
    const std::lock_guard lock(mutex_);
    if (!asked_) {
      asked_ = true;  // before the runtime itself asks for memory
      void* all = nullptr;
      if (cudaHostAlloc(&all, kBytes, cudaHostAllocDefault) == cudaSuccess) {
        base_ = static_cast<char*>(all);
      } else {
        cudaGetLastError();
      }
    }
    if (base_ == nullptr) return std::malloc(bytes);
    const auto size_class = static_cast<size_t>(std::bit_width(std::max(bytes, size_t{64}) - 1));
    if (Free* const block = free_[size_class]; block != nullptr) {
      free_[size_class] = block->next;
      return block;
    }
    const size_t size = size_t{1} << size_class;
    const size_t at = (end_ + kHeader + 63) / 64 * 64;
    if (at + size > kBytes) return std::malloc(bytes);
    end_ = at + size;
    *reinterpret_cast<size_t*>(base_ + at - kHeader) = size_class;
    return base_ + at;
  }
  void give_back(void* block) {
    if (block == nullptr) return;
    if (base_ == nullptr || block < base_ || block >= base_ + kBytes) return std::free(block);
    const std::lock_guard lock(mutex_);
    const size_t size_class = *reinterpret_cast<size_t*>(static_cast<char*>(block) - kHeader);
    auto* const freed = static_cast<Free*>(block);
    freed->next = free_[size_class];
    free_[size_class] = freed;
  }

 private:
  static constexpr size_t kBytes = size_t{3} << 30, kHeader = 8;
  struct Free {
    Free* next;
  };
  std::recursive_mutex mutex_;
  bool asked_ = false;
  char* base_ = nullptr;
  size_t end_ = 0;
  std::array<Free*, 64> free_{};
};

Pool& pool() {
  alignas(Pool) static char room[sizeof(Pool)];
  static Pool* const made = new (room) Pool;  // outlives everything
  return *made;
}

void* take(size_t bytes) {
  void* const block = pool().take(bytes);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

}  // namespace

void* operator new(size_t bytes) { return take(bytes); }
void* operator new[](size_t bytes) { return take(bytes); }
// Blocks begin at multiples of 64 bytes.
void* operator new(size_t bytes, std::align_val_t) { return take(bytes); }
void* operator new[](size_t bytes, std::align_val_t) { return take(bytes); }
void operator delete(void* block) noexcept { pool().give_back(block); }
void operator delete[](void* block) noexcept { pool().give_back(block); }
void operator delete(void* block, size_t) noexcept { pool().give_back(block); }
void operator delete[](void* block, size_t) noexcept { pool().give_back(block); }
void operator delete(void* block, std::align_val_t) noexcept { pool().give_back(block); }
void operator delete[](void* block, std::align_val_t) noexcept { pool().give_back(block); }
void operator delete(void* block, size_t, std::align_val_t) noexcept { pool().give_back(block); }
void operator delete[](void* block, size_t, std::align_val_t) noexcept { pool().give_back(block); }
