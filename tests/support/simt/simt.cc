#include "tests/support/simt/simt.h"

#include <sys/mman.h>

#include <boost/context/fiber.hpp>
#include <boost/context/fixedsize_stack.hpp>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "tests/support/simt/cuda_runtime_api.h"

thread_local uint3 threadIdx, blockIdx;
thread_local dim3 blockDim, gridDim;

namespace simt {
namespace {

namespace ctx = boost::context;

// All of the card's memory: one range of addresses, closed to everybody between kernels and copies.
class CardMemory {
 public:
  CardMemory() {
    void* range =
        mmap(nullptr, kBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range == MAP_FAILED) std::abort();
    const auto address = (reinterpret_cast<uintptr_t>(range) + kHuge - 1) / kHuge * kHuge;
    base_ = reinterpret_cast<char*>(address);
    madvise(base_, kBytes - kHuge, MADV_HUGEPAGE);  // fewer entries to change when it opens and closes
  }
  bool holds(const void* p) const { return p >= base_ && p < base_ + kBytes; }
  void* take(size_t bytes) {
    const std::lock_guard lock(mutex_);
    bytes = (bytes + kPage - 1) / kPage * kPage;
    auto& waiting = free_[bytes];
    if (!waiting.empty()) {
      char* block = waiting.back();
      waiting.pop_back();
      used_[block] = bytes;
      return block;
    }
    if (end_ + bytes + kPage > kBytes - 2 * kHuge) return nullptr;
    char* block = base_ + end_;
    end_ += bytes + kPage;  // the page behind stays untouched
    used_[block] = bytes;
    if (opened_ > 0) set(PROT_READ | PROT_WRITE);
    return block;
  }
  bool give_back(void* p) {
    const std::lock_guard lock(mutex_);
    const auto it = used_.find(static_cast<char*>(p));
    if (it == used_.end()) return false;
    free_[it->second].push_back(it->first);
    used_.erase(it);
    return true;
  }
  void open() {
    const std::lock_guard lock(mutex_);
    if (opened_++ == 0) set(PROT_READ | PROT_WRITE);
  }
  void close() {
    const std::lock_guard lock(mutex_);
    if (--opened_ == 0) set(PROT_NONE);
  }

 private:
  static constexpr size_t kBytes = size_t{64} << 30, kPage = 4096, kHuge = size_t{2} << 20;
  void set(int rights) {
    const size_t whole = (end_ + kHuge - 1) / kHuge * kHuge;
    if (whole > 0 && mprotect(base_, whole, rights) != 0) std::abort();
  }
  std::mutex mutex_;
  char* base_ = nullptr;
  size_t end_ = 0;
  int opened_ = 0;
  std::map<char*, size_t> used_;
  std::map<size_t, std::vector<char*>> free_;
};
CardMemory& card() {
  static CardMemory memory;
  return memory;
}
class Opened {
 public:
  Opened() { card().open(); }
  ~Opened() { card().close(); }
};

enum class State { kRuns, kWaitsForWarp, kWaitsForBlock, kDone };

class Stacks {  // for ever: the next block has as many threads
 public:
  ctx::stack_context allocate() {
    if (free_.empty()) return ctx::fixedsize_stack(kBytes).allocate();
    const ctx::stack_context stack = free_.back();
    free_.pop_back();
    return stack;
  }
  void deallocate(ctx::stack_context& stack) { free_.push_back(stack); }

 private:
  static constexpr size_t kBytes = 64 << 10;
  std::vector<ctx::stack_context> free_;
};
thread_local Stacks stacks;
struct FromStacks {
  ctx::stack_context allocate() { return stacks.allocate(); }
  void deallocate(ctx::stack_context& stack) { stacks.deallocate(stack); }
};

struct Block {
  struct Thread {
    ctx::fiber fiber, scheduler;
    State state = State::kRuns;
    int exchanges = 0;
  };
  std::vector<Thread> threads;
  std::vector<unsigned char> slots;  // [warps][2][32][8]
  std::vector<unsigned char> shared;
  unsigned current = 0;
};
thread_local Block* block = nullptr;

void wait(State state) {
  Block::Thread& me = block->threads[block->current];
  me.state = state;
  me.scheduler = std::move(me.scheduler).resume();
}

void resume(unsigned id) {
  Block::Thread& thread = block->threads[id];
  block->current = id;
  threadIdx.x = id;
  thread.state = State::kRuns;
  thread.fiber = std::move(thread.fiber).resume();
}

// Until every thread is done or waits for the block.
void run_warp(unsigned first, unsigned last) {
  for (bool someone_waits = true; someone_waits;) {
    someone_waits = false;
    for (unsigned id = first; id < last; ++id) {
      const State state = block->threads[id].state;
      if (state == State::kRuns || state == State::kWaitsForWarp) resume(id);
      someone_waits |= block->threads[id].state == State::kWaitsForWarp;
    }
  }
}

void run_block(const std::function<void()>& kernel) {
  const unsigned n = blockDim.x;
  for (unsigned id = 0; id < n; ++id) {
    Block::Thread& thread = block->threads[id];
    thread.state = State::kRuns;
    thread.exchanges = 0;
    thread.fiber =
        ctx::fiber(std::allocator_arg, FromStacks(), [&kernel, id](ctx::fiber&& scheduler) {
          block->threads[id].scheduler = std::move(scheduler);
          kernel();
          block->threads[id].state = State::kDone;
          return std::move(block->threads[id].scheduler);
        });
  }
  for (bool all_done = false; !all_done;) {
    for (unsigned first = 0; first < n; first += 32) run_warp(first, std::min(first + 32, n));
    all_done = true;
    for (Block::Thread& thread : block->threads) {
      if (thread.state == State::kDone) continue;
      all_done = false;
      thread.state = State::kRuns;  // the barrier opens
    }
  }
}

}  // namespace

void run(dim3 blocks, int threads, int64_t shared_bytes, const std::function<void()>& kernel) {
  const Opened opened;
  Block own;
  own.threads.resize(static_cast<size_t>(threads));
  own.slots.resize(static_cast<size_t>((threads + 31) / 32) * 2 * 32 * 8);
  own.shared.resize(static_cast<size_t>(shared_bytes) + 16);
  Block* const outer = std::exchange(block, &own);
  gridDim = blocks;
  blockDim = dim3(static_cast<unsigned>(threads));
  for (unsigned z = 0; z < blocks.z; ++z) {
    for (unsigned y = 0; y < blocks.y; ++y) {
      for (unsigned x = 0; x < blocks.x; ++x) {
        blockIdx = {x, y, z};
        // Shared memory holds anything at a kernel's start; NaN shows most readily who relies on it.
        std::fill(own.shared.begin(), own.shared.end(), static_cast<unsigned char>(0xFF));
        run_block(kernel);
      }
    }
  }
  block = outer;
}

void* dynamic_shared() {
  auto address = reinterpret_cast<uintptr_t>(block->shared.data());
  return reinterpret_cast<void*>((address + 15) / 16 * 16);
}
void wait_for_block() { wait(State::kWaitsForBlock); }
void wait_for_warp() { wait(State::kWaitsForWarp); }
void* slots_of_warp() {
  Block::Thread& me = block->threads[block->current];
  const size_t warp = block->current / 32;
  return block->slots.data() + (2 * warp + static_cast<size_t>(me.exchanges++ % 2)) * 32 * 8;
}

}  // namespace simt

using simt::card;
using simt::Opened;

const char* cudaGetErrorString(cudaError_t) { return "out of memory"; }
cudaError_t cudaMalloc(void** to, size_t bytes) {
  *to = card().take(bytes);
  return *to ? cudaSuccess : cudaErrorMemoryAllocation;
}
cudaError_t cudaFree(void* p) {
  if (p && !card().give_back(p)) std::abort();
  return cudaSuccess;
}
cudaError_t cudaMallocHost(void** to, size_t bytes) {
  *to = std::malloc(bytes);
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* p) {
  std::free(p);
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *free = *total = size_t{64} << 30;
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t) {
  const Opened opened;
  std::memset(to, value, bytes);
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind,
                            cudaStream_t) {
  const Opened opened;
  std::memcpy(to, from, bytes);
  return cudaSuccess;
}
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
  attributes->type = card().holds(pointer) ? cudaMemoryTypeDevice : cudaMemoryTypeUnregistered;
  return cudaSuccess;
}
