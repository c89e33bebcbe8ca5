// tests/support/simt/simt.h: a block of threads on one thread of the host. They run in turn, each on a
// stack of its own, until it waits for its warp or its block: so a missing barrier shows as a wrong
// result here more often than on a card. Blocks run one after the other.
#pragma once

#include <cstdint>
#include <cstring>
#include <functional>

struct uint3 {
  unsigned x = 0, y = 0, z = 0;
};
struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

extern thread_local uint3 threadIdx, blockIdx;
extern thread_local dim3 blockDim, gridDim;

namespace simt {

// Threads stand along x. Aborts the process if some of a block's threads wait for ever.
void run(dim3 blocks, int threads, int64_t shared_bytes, const std::function<void()>& kernel);

void* dynamic_shared();
inline int lane() { return static_cast<int>(threadIdx.x % 32); }
void wait_for_block();
void wait_for_warp();
// Two exchanges that follow each other use different slots, so one wait each is enough.
void* slots_of_warp();

// Every thread of the warp calls it.
template <class T>
T exchange(T value, int from) {
  static_assert(sizeof(T) <= 8);
  auto* slots = static_cast<unsigned char(*)[8]>(slots_of_warp());
  std::memcpy(slots[lane()], &value, sizeof(T));
  wait_for_warp();
  std::memcpy(&value, slots[from & 31], sizeof(T));
  return value;
}

}  // namespace simt
