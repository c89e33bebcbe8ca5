// kernels/cuda/hopper/instructions.cuh: Hopper's own instructions, one thin function each: barriers in shared memory
// (mbarrier), the copy engine (TMA), the warpgroup matrix product (wgmma). Names and rules: the PTX ISA,
// sections 9.7.13 (barriers), 9.7.9.25 (bulk copies), 9.7.15 (wgmma).
//
// Not yet run on a card.
#pragma once

#include <cuda.h>

#include <cstdint>

namespace hadal::cuda {

__device__ __forceinline__ uint32_t shared_address(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

// ---- Barriers. A barrier's phase ends when its arrivals and its bytes are complete; who waits names the
// parity of the phase that shall end. Waiting for parity 1 on a fresh barrier returns at once.

__device__ __forceinline__ void barrier_init(uint64_t* barrier, uint32_t arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)),
               "r"(arrivals)
               : "memory");
}
// Makes the initialisation visible to the copy engine and to the other block of the cluster.
__device__ __forceinline__ void barrier_init_done() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

__device__ __forceinline__ bool barrier_ended(uint64_t* barrier, uint32_t parity) {
  uint32_t ended;
  asm volatile(
      "{\n.reg .pred p;\n"
      "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
      "selp.u32 %0, 1, 0, p;\n}"
      : "=r"(ended)
      : "r"(shared_address(barrier)), "r"(parity)
      : "memory");
  return ended != 0;
}

// A wait that outlives every product by far means a broken schedule: it becomes an error of the launch
// instead of a card that hangs.
__device__ __forceinline__ void barrier_wait(uint64_t* barrier, uint32_t parity) {
  if (barrier_ended(barrier, parity)) return;
  constexpr long long kCycles = 1LL << 33;  // four to six seconds
  const long long start = clock64();
  while (!barrier_ended(barrier, parity)) {
    if (clock64() - start > kCycles) __trap();
  }
}

// One arrival that also announces how many bytes the copy engine will bring in this phase.
__device__ __forceinline__ void barrier_expect(uint64_t* barrier, uint32_t bytes) {
  asm volatile(
      "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)),
      "r"(bytes)
      : "memory");
}

// One arrival on the barrier at this place in block `rank` of the cluster. It tells that reads are over and
// publishes no writes: the form that releases to the whole cluster costs a fence of the whole card.
__device__ __forceinline__ void barrier_arrive(uint64_t* barrier, uint32_t rank) {
  asm volatile(
      "{\n.reg .b32 remote;\n"
      "mapa.shared::cluster.u32 remote, %0, %1;\n"
      "mbarrier.arrive.shared::cluster.b64 _, [remote];\n}" ::"r"(shared_address(barrier)),
      "r"(rank)
      : "memory");
}
__device__ __forceinline__ void barrier_arrive(uint64_t* barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier))
               : "memory");
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

// All 128 threads of a warpgroup; `name` 1 to 15 (0 is __syncthreads).
__device__ __forceinline__ void warpgroup_sync(int name) {
  asm volatile("bar.sync %0, 128;" ::"r"(name) : "memory");
}

// ---- The copy engine.

__device__ __forceinline__ void prefetch_map(const CUtensorMap* map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}

// A box of the tensor, from the given first coordinates (innermost first), into shared memory; what lies
// outside the tensor comes as zeros and counts as bytes all the same.
__device__ __forceinline__ void load_box(void* to, const CUtensorMap* map, uint64_t* barrier, int x,
                                         int y) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes"
      " [%0], [%1, {%3, %4}], [%2];" ::"r"(shared_address(to)),
      "l"(map), "r"(shared_address(barrier)), "r"(x), "r"(y)
      : "memory");
}
__device__ __forceinline__ void load_box(void* to, const CUtensorMap* map, uint64_t* barrier, int x,
                                         int y, int z) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes"
      " [%0], [%1, {%3, %4, %5}], [%2];" ::"r"(shared_address(to)),
      "l"(map), "r"(shared_address(barrier)), "r"(x), "r"(y), "r"(z)
      : "memory");
}
// The same into every block of the cluster whose bit is set, at this place in each, and each block's own
// barrier at this place is told.
__device__ __forceinline__ void load_box_to_all(void* to, const CUtensorMap* map, uint64_t* barrier,
                                                int x, int y, uint16_t blocks) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes"
      ".multicast::cluster [%0], [%1, {%3, %4}], [%2], %5;" ::"r"(shared_address(to)),
      "l"(map), "r"(shared_address(barrier)), "r"(x), "r"(y), "h"(blocks)
      : "memory");
}

// Ordinary writes to shared memory before it are seen by the copy engine and the matrix units after it.
__device__ __forceinline__ void fence_async() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

// ---- Results on their way out.

// Four 8x8 matrices of 16-bit elements of the warp's registers (as the matrix units hold them); lane l gives
// the place of row l % 8 of matrix l / 8.
__device__ __forceinline__ void store_matrices(void* row, uint32_t m0, uint32_t m1, uint32_t m2,
                                               uint32_t m3) {
  asm volatile(
      "stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(shared_address(row)),
      "r"(m0), "r"(m1), "r"(m2), "r"(m3)
      : "memory");
}

// Nothing waits for the old value: the sum is made in L2. One addition an element and launch keeps it
// deterministic.
__device__ __forceinline__ void add_in_l2(float* to, float4 value) {
  asm volatile("red.relaxed.gpu.global.add.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(to), "f"(value.x),
               "f"(value.y), "f"(value.z), "f"(value.w)
               : "memory");
}

// ---- Registers between the roles of a block; each warp of the warpgroup executes it.

template <int kRegisters>
__device__ __forceinline__ void give_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}
template <int kRegisters>
__device__ __forceinline__ void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

// ---- The warpgroup matrix product.

// How an operand lies in shared memory, in tiles of 128-byte rows with the copy engine's 128-byte
// swizzle, at an address that is a multiple of 1024 (plus a step along the summed axis):
//   summed axis contiguous: rows of the operand, each 128 bytes of the summed axis; eight rows are 1024
//     bytes, the next eight follow. A step of one product is 32 bytes.
//   summed axis across: a row is one index of the summed axis and 128 bytes of the operand's rows; boxes
//     of 64 indices follow one another, box_bytes each. A step of 16 indices is 2048 bytes.
__device__ __forceinline__ uint64_t operand_of_rows(uint32_t address) {
  constexpr uint64_t kSwizzle128 = uint64_t{1} << 62;
  constexpr uint64_t kEightRows = uint64_t{1024 >> 4} << 32;
  return kSwizzle128 | kEightRows | (uint64_t{1} << 16) | ((address & 0x3FFFF) >> 4);
}
__device__ __forceinline__ uint64_t operand_across(uint32_t address, uint32_t box_bytes) {
  constexpr uint64_t kSwizzle128 = uint64_t{1} << 62;
  constexpr uint64_t kEightRows = uint64_t{1024 >> 4} << 32;
  return kSwizzle128 | kEightRows | (uint64_t{box_bytes >> 4} << 16) | ((address & 0x3FFFF) >> 4);
}
// The operand `bytes` further on.
__device__ __forceinline__ uint64_t advance(uint64_t operand, uint32_t bytes) {
  return operand + (bytes >> 4);
}

__device__ __forceinline__ void products_fence() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ __forceinline__ void products_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
// Until all but the latest kPending groups are complete.
template <int kPending>
__device__ __forceinline__ void products_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}
// Keeps the compiler from reading results before the wait that it stands behind.
template <int kCount>
__device__ __forceinline__ void results_ready(float (&d)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+f"(d[i])::"memory");
}

#define HADAL_FLOATS_8(d, i)                                                                  \
  "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), \
      "+f"(d[i + 6]), "+f"(d[i + 7])
#define HADAL_FLOATS_64(d)                                                                  \
  HADAL_FLOATS_8(d, 0), HADAL_FLOATS_8(d, 8), HADAL_FLOATS_8(d, 16), HADAL_FLOATS_8(d, 24), \
      HADAL_FLOATS_8(d, 32), HADAL_FLOATS_8(d, 40), HADAL_FLOATS_8(d, 48), HADAL_FLOATS_8(d, 56)
#define HADAL_LIST_64                                                                            \
  "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,"  \
  "%25,%26,%27,%28,%29,%30,%31,%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47," \
  "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63}"

// d[64 x 128] = a[64 x 32] b[128 x 32]^T (+ d): thread t of the warpgroup holds in d[4j + 2h + e] the
// element of row 16 (t / 32) + (t % 32) / 4 + 8h and column 8j + 2 (t % 4) + e. E4M3.
template <bool kAdd>
__device__ __forceinline__ void product_e4m3(float (&d)[64], uint64_t a, uint64_t b) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %66, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k32.f32.e4m3.e4m3 " HADAL_LIST_64
      ", %64, %65, p, 1, 1;\n}"
      : HADAL_FLOATS_64(d)
      : "l"(a), "l"(b), "n"(kAdd ? 1 : 0));
}

// d[64 x 128] += a[64 x 16] b[128 x 16]^T, BF16; kAcross: that operand lies across (above).
template <bool kAAcross, bool kBAcross>
__device__ __forceinline__ void product_bf16(float (&d)[64], uint64_t a, uint64_t b) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, 1, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 " HADAL_LIST_64
      ", %64, %65, p, 1, 1, %66, %67;\n}"
      : HADAL_FLOATS_64(d)
      : "l"(a), "l"(b), "n"(kAAcross ? 1 : 0), "n"(kBAcross ? 1 : 0));
}

}  // namespace hadal::cuda
