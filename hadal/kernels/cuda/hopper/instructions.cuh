// kernels/cuda/hopper/instructions.cuh: Hopper's own instructions, one thin function each: barriers, the copy
// engine (TMA), fences, registers, loads and stores that C++ does not name. Matrix products: products.cuh.
// Names and rules: the PTX ISA, sections 9.7.13 (barriers) and 9.7.9.25 (bulk copies).
//
// Not yet run on a card.
#pragma once

#include <cuda.h>

#include <cstdint>

namespace hadal::cuda {

__device__ __forceinline__ uint32_t shared_address(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

// A place in shared memory: a pointer to it, or its address in the window of shared memory, by which
// kernels count that cut their memory up themselves.
struct InShared {
  uint32_t at;
  __device__ __forceinline__ InShared(uint32_t address) : at(address) {}
  __device__ __forceinline__ InShared(const void* pointer) : at(shared_address(pointer)) {}
};

// ---- Barriers in shared memory, 8 bytes each. A barrier's phase ends when its arrivals and its bytes are
// complete; who waits names the parity of the phase that shall end: phases count 0, 1, 0, 1, ... Waiting for
// parity 1 on a fresh barrier returns at once, as if a phase before the first had ended.

__device__ __forceinline__ void barrier_init(InShared barrier, uint32_t arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier.at), "r"(arrivals)
               : "memory");
}
// Makes the initialisation visible to the copy engine and to the other block of the cluster.
__device__ __forceinline__ void barrier_init_done() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

// The wait has two forms. Both loops are written here rather than in C++, where ptxas, once there is a way
// out of the loop, may no longer keep products in flight over it (C7512) and spills what they hold.
//
// The bounded wait, for who can afford it: after tries that outlive every product by far the schedule must
// be broken, and the launch ends with an error instead of a card that hangs.
inline constexpr uint32_t kWaitTries = 1U << 24;
__device__ __forceinline__ void barrier_wait_bounded(InShared barrier, uint32_t parity) {
  asm volatile(
      "{\n"
      ".reg .pred done, late;\n"
      ".reg .u32 tries;\n"
      "mov.u32 tries, 0;\n"
      "again:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@done bra over;\n"
      "add.u32 tries, tries, 1;\n"
      "setp.gt.u32 late, tries, %2;\n"
      "@late trap;\n"
      "bra again;\n"
      "over:\n"
      "}" ::"r"(barrier.at),
      "r"(parity), "n"(kWaitTries)
      : "memory");
}
// The wait without an end, for a kernel whose products the trap of the other would serialise.
__device__ __forceinline__ void barrier_wait_endless(InShared barrier, uint32_t parity) {
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "again:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@done bra over;\n"
      "bra again;\n"
      "over:\n"
      "}" ::"r"(barrier.at),
      "r"(parity)
      : "memory");
}

__device__ __forceinline__ void barrier_arrive(InShared barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier.at) : "memory");
}
// One arrival that also announces how many bytes the copy engine will bring in this phase.
__device__ __forceinline__ void barrier_expect(InShared barrier, uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier.at),
               "r"(bytes)
               : "memory");
}
// One arrival on the barrier at this place in block `rank` of the cluster. It tells that reads are over and
// publishes no writes: the form that releases to the whole cluster costs a fence of the whole card.
__device__ __forceinline__ void barrier_arrive(InShared barrier, uint32_t rank) {
  asm volatile(
      "{\n.reg .b32 remote;\n"
      "mapa.shared::cluster.u32 remote, %0, %1;\n"
      "mbarrier.arrive.shared::cluster.b64 _, [remote];\n}" ::"r"(barrier.at),
      "r"(rank)
      : "memory");
}

// A place in a ring of stages that such barriers guard, and the parity of the lap. Who fills the ring waits
// for the parity before, so a fresh stage is free.
template <int kStages>
struct Ring {
  int stage = 0;
  uint32_t parity = 0;
  __device__ __forceinline__ void advance() {
    if (++stage == kStages) {
      stage = 0;
      parity ^= 1;
    }
  }
};

// ---- The block's hardware barriers, names 1 to 15 (0 is __syncthreads), of `threads` threads: some wait,
// others only say that they came by.

__device__ __forceinline__ void named_wait(uint32_t name, uint32_t threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(name), "r"(threads) : "memory");
}
__device__ __forceinline__ void named_arrive(uint32_t name, uint32_t threads) {
  asm volatile("bar.arrive %0, %1;" ::"r"(name), "r"(threads) : "memory");
}

// ---- Clusters of blocks.

__device__ __forceinline__ uint32_t cluster_rank() {
  uint32_t rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}
__device__ __forceinline__ void cluster_sync() {
  asm volatile("barrier.cluster.arrive.release;\nbarrier.cluster.wait.acquire;" ::: "memory");
}

// ---- The copy engine.

__device__ __forceinline__ void prefetch_map(const CUtensorMap* map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}

// A box of the tensor, from the given first coordinates (innermost first), into shared memory; what lies
// outside the tensor comes as zeros and counts as bytes all the same.
__device__ __forceinline__ void load_box(InShared to, const CUtensorMap* map, InShared barrier,
                                         int x, int y) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
      " [%0], [%1, {%3, %4}], [%2];" ::"r"(to.at),
      "l"(map), "r"(barrier.at), "r"(x), "r"(y)
      : "memory");
}
__device__ __forceinline__ void load_box(InShared to, const CUtensorMap* map, InShared barrier,
                                         int x, int y, int z) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
      " [%0], [%1, {%3, %4, %5}], [%2];" ::"r"(to.at),
      "l"(map), "r"(barrier.at), "r"(x), "r"(y), "r"(z)
      : "memory");
}
// The same into every block of the cluster whose bit is set, at this place in each, and each block's own
// barrier at this place is told.
__device__ __forceinline__ void load_box_to_all(InShared to, const CUtensorMap* map,
                                                InShared barrier, int x, int y, uint16_t blocks) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
      ".multicast::cluster [%0], [%1, {%3, %4}], [%2], %5;" ::"r"(to.at),
      "l"(map), "r"(barrier.at), "r"(x), "r"(y), "h"(blocks)
      : "memory");
}
// Plain bytes, a multiple of 16 and so aligned on both sides.
__device__ __forceinline__ void load_bytes(InShared to, const void* from, uint32_t bytes,
                                           InShared barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(to.at),
      "l"(from), "r"(bytes), "r"(barrier.at)
      : "memory");
}

// Ordinary writes to shared memory before it are seen by the copy engine and the matrix units after it (and
// after a barrier, where others wrote).
__device__ __forceinline__ void fence_async() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

// ---- Shared memory by address.

__device__ __forceinline__ void store_shared(InShared to, uint4 value) {
  asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};" ::"r"(to.at), "r"(value.x), "r"(value.y),
               "r"(value.z), "r"(value.w)
               : "memory");
}
__device__ __forceinline__ void store_shared(InShared to, uint32_t value) {
  asm volatile("st.shared.b32 [%0], %1;" ::"r"(to.at), "r"(value) : "memory");
}
__device__ __forceinline__ float load_shared(InShared from) {
  float value;
  asm volatile("ld.shared.f32 %0, [%1];" : "=f"(value) : "r"(from.at) : "memory");
  return value;
}

// Four 8x8 matrices of 16-bit elements of the warp's registers (as the matrix units hold them); lane l gives
// the place of row l % 8 of matrix l / 8.
__device__ __forceinline__ void store_matrices(InShared row, uint32_t m0, uint32_t m1, uint32_t m2,
                                               uint32_t m3) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(row.at),
               "r"(m0), "r"(m1), "r"(m2), "r"(m3)
               : "memory");
}

// ---- Memory of the card that blocks share.

// Nothing waits for the old value: the sum is made in L2. One addition an element at a time, in an order
// that the caller keeps, makes it deterministic.
__device__ __forceinline__ void add_in_l2(float* to, float4 value) {
  asm volatile("red.relaxed.gpu.global.add.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(to), "f"(value.x),
               "f"(value.y), "f"(value.z), "f"(value.w)
               : "memory");
}
__device__ __forceinline__ void add_in_l2(float* to, float2 value) {
  asm volatile("red.relaxed.gpu.global.add.v2.f32 [%0], {%1, %2};" ::"l"(to), "f"(value.x),
               "f"(value.y)
               : "memory");
}

__device__ __forceinline__ int load_acquire(const int* from) {
  int value;
  asm volatile("ld.acquire.gpu.global.s32 %0, [%1];" : "=r"(value) : "l"(from) : "memory");
  return value;
}
__device__ __forceinline__ void store_release(int* to, int value) {
  asm volatile("st.release.gpu.global.s32 [%0], %1;" ::"l"(to), "r"(value) : "memory");
}

// ---- Registers.

// Between the roles of a block; each warp of the warpgroup executes it. What the roles take together may not
// be more than what the block has begun with.
template <int kRegisters>
__device__ __forceinline__ void give_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}
template <int kRegisters>
__device__ __forceinline__ void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

// Two values rounded to BF16, the first in the lower half.
__device__ __forceinline__ uint32_t pack_bf16(float first, float second) {
  uint32_t packed;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(second), "f"(first));
  return packed;
}
__device__ __forceinline__ float lower_bf16(uint32_t packed) {
  return __uint_as_float(packed << 16);
}
__device__ __forceinline__ float upper_bf16(uint32_t packed) {
  return __uint_as_float(packed & 0xFFFF0000U);
}

// 2^x, about 22 bits; 0 for minus infinity.
__device__ __forceinline__ float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

}  // namespace hadal::cuda
