// kernels/cuda/hopper/mma_flash.cuh: the instructions of Hopper that attention is made of, one thin function each:
// barriers in shared memory, tile loads by the copy engine (TMA), products of a warpgroup (wgmma).
//
// An accumulator of a product M = 64, N belongs to a warpgroup (128 threads): thread t has, in rows
// 16 * (t/32) + (t%32)/4 and that + 8, the columns 8j + 2 * (t%4) and the next: d[4j], d[4j+1] of the first
// row, d[4j+2], d[4j+3] of the second.
#pragma once

#include <cuda.h>
#include <cuda_runtime.h>

#include <cstdint>

namespace hadal::cuda::flash {

__device__ inline uint32_t shared_address(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

// Tries after which a wait is a mistake of ours: the launch ends with an error rather than never.
constexpr uint32_t kPatience = 1U << 24;

// ---- Barriers. A barrier's phase ends when `count` arrivals and all announced bytes are there. ----

__device__ inline void barrier_init(uint64_t* barrier, uint32_t count) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(count)
               : "memory");
}

// Makes initialised barriers known to the copy engine.
__device__ inline void barriers_ready() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

__device__ inline void arrive(uint64_t* barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier))
               : "memory");
}

// Arrives once and announces `bytes` that the copy engine will bring.
__device__ inline void arrive_expecting(uint64_t* barrier, uint32_t bytes) {
  asm volatile(
      "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)),
      "r"(bytes)
      : "memory");
}

// Waits for the end of the phase of this parity: phases count 0, 1, 0, 1, ... A fresh barrier answers
// parity 1 at once, as if a phase before the first had ended.
__device__ inline void wait(uint64_t* barrier, uint32_t parity) {
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
      "}" ::"r"(shared_address(barrier)),
      "r"(parity), "n"(kPatience)
      : "memory");
}

// A hardware barrier of `threads` threads: some wait, others only say that they came by.
__device__ inline void named_wait(uint32_t id, uint32_t threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
__device__ inline void named_arrive(uint32_t id, uint32_t threads) {
  asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

// A position in a ring of `Stages` buffers, and the parity of the lap.
template <int Stages>
struct Ring {
  uint32_t stage = 0, parity = 0;
  __device__ void next() {
    if (++stage == Stages) {
      stage = 0;
      parity ^= 1;
    }
  }
};

// ---- Copies ----

// The box at column x of row y lands at `to`; its bytes count at `barrier`. Rows past the end are zeros.
__device__ inline void load_box(void* to, const CUtensorMap* map, int x, int y, uint64_t* barrier) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%3, %4}], [%2];" ::"r"(shared_address(to)),
      "l"(map), "r"(shared_address(barrier)), "r"(x), "r"(y)
      : "memory");
}

// Plain bytes, a multiple of 16 and so aligned on both sides.
__device__ inline void load_bytes(void* to, const void* from, uint32_t bytes, uint64_t* barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(shared_address(to)),
      "l"(from), "r"(bytes), "r"(shared_address(barrier))
      : "memory");
}

__device__ inline void prefetch_map(const CUtensorMap* map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}

// Ordinary stores to shared memory before it are seen by products and copies after the next barrier.
__device__ inline void fence_for_async() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

// Four 8 x 8 tiles of 16-bit values as an A operand holds them; lane i gives the address of row i%8 of
// tile i/8.
__device__ inline void store_tiles(uint32_t address, uint32_t a, uint32_t b, uint32_t c,
                                   uint32_t d) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(address),
               "r"(a), "r"(b), "r"(c), "r"(d)
               : "memory");
}

// ---- Registers ----

template <int Count>
__device__ inline void registers_up() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(Count));
}
template <int Count>
__device__ inline void registers_down() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(Count));
}

// What is between a product's start and its end in registers may not be moved across either by the
// compiler, which does not know that the product is still running.
template <int Count>
__device__ inline void hold(float (&values)[Count]) {
#pragma unroll
  for (int i = 0; i < Count; ++i) asm volatile("" : "+f"(values[i])::"memory");
}
template <int Count>
__device__ inline void hold(uint32_t (&values)[Count]) {
#pragma unroll
  for (int i = 0; i < Count; ++i) asm volatile("" : "+r"(values[i])::"memory");
}

// Two values rounded to BF16, the first in the lower half.
__device__ inline uint32_t pack_bf16(float first, float second) {
  uint32_t packed;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(second), "f"(first));
  return packed;
}
__device__ inline float lower_bf16(uint32_t packed) { return __uint_as_float(packed << 16); }
__device__ inline float upper_bf16(uint32_t packed) {
  return __uint_as_float(packed & 0xffff0000U);
}

// 2^x; 0 for minus infinity.
__device__ inline float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// ---- Products of a warpgroup: D[64, N] (+)= A[64, 16] B[16, N], BF16 in, F32 out ----

__device__ inline void product_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ inline void product_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
// Until at most `Open` of the committed groups are still running.
template <int Open>
__device__ inline void product_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(Open) : "memory");
}

// Numbers of the operands of an accumulator, and the registers, eight at a time.
#define HADAL_N8(a, b, c, d, e, f, g, h) \
  "%" #a ", %" #b ", %" #c ", %" #d ", %" #e ", %" #f ", %" #g ", %" #h
#define HADAL_N24                  \
  HADAL_N8(0, 1, 2, 3, 4, 5, 6, 7) \
  ", " HADAL_N8(8, 9, 10, 11, 12, 13, 14, 15) ", " HADAL_N8(16, 17, 18, 19, 20, 21, 22, 23)
#define HADAL_N32 HADAL_N24 ", " HADAL_N8(24, 25, 26, 27, 28, 29, 30, 31)
#define HADAL_N48 \
  HADAL_N32       \
      ", " HADAL_N8(32, 33, 34, 35, 36, 37, 38, 39) ", " HADAL_N8(40, 41, 42, 43, 44, 45, 46, 47)
#define HADAL_N64 \
  HADAL_N48       \
      ", " HADAL_N8(48, 49, 50, 51, 52, 53, 54, 55) ", " HADAL_N8(56, 57, 58, 59, 60, 61, 62, 63)
#define HADAL_N96                                                                                 \
  HADAL_N64 ", " HADAL_N8(64, 65, 66, 67, 68, 69, 70, 71) ", " HADAL_N8(                          \
      72, 73, 74, 75, 76, 77, 78, 79) ", " HADAL_N8(80, 81, 82, 83, 84, 85, 86,                   \
                                                    87) ", " HADAL_N8(88, 89, 90, 91, 92, 93, 94, \
                                                                      95)
#define HADAL_D8(i)                                                                           \
  "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), \
      "+f"(d[i + 6]), "+f"(d[i + 7])
#define HADAL_D24 HADAL_D8(0), HADAL_D8(8), HADAL_D8(16)
#define HADAL_D32 HADAL_D24, HADAL_D8(24)
#define HADAL_D48 HADAL_D32, HADAL_D8(32), HADAL_D8(40)
#define HADAL_D64 HADAL_D48, HADAL_D8(48), HADAL_D8(56)
#define HADAL_D96 HADAL_D64, HADAL_D8(64), HADAL_D8(72), HADAL_D8(80), HADAL_D8(88)

// One pair of functions per N; R = N/2 registers, i0 ... the numbers of the operands behind them.
// A and B in shared memory are told by descriptors (flash_attention_tiles.cuh). TransA, TransB: the
// operand's rows are along k rather than its columns. `add` false: what D held counts as zero.
#define HADAL_PRODUCT(N, R, i0, i1, i2, i3, i4, i5, i6)                                            \
  template <int TransA, int TransB>                                                                \
  __device__ inline void product(float(&d)[R], uint64_t a, uint64_t b, bool add) {                 \
    asm volatile("{\n.reg .pred add;\nsetp.ne.b32 add, %" #i2                                      \
                 ", 0;\n"                                                                          \
                 "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32.bf16.bf16 {" HADAL_N##R           \
                 "}, %" #i0 ", %" #i1 ", add, 1, 1, %" #i3 ", %" #i4 ";\n}"                        \
                 : HADAL_D##R                                                                      \
                 : "l"(a), "l"(b), "r"(static_cast<int>(add)), "n"(TransA), "n"(TransB));          \
  }                                                                                                \
  template <int TransB>                                                                            \
  __device__ inline void product(float(&d)[R], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, \
                                 uint64_t b, bool add) {                                           \
    asm volatile("{\n.reg .pred add;\nsetp.ne.b32 add, %" #i5                                      \
                 ", 0;\n"                                                                          \
                 "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32.bf16.bf16 {" HADAL_N##R           \
                 "}, {%" #i0 ", %" #i1 ", %" #i2 ", %" #i3 "}, %" #i4 ", add, 1, 1, %" #i6 ";\n}"  \
                 : HADAL_D##R                                                                      \
                 : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "l"(b), "r"(static_cast<int>(add)),         \
                   "n"(TransB));                                                                   \
  }

HADAL_PRODUCT(48, 24, 24, 25, 26, 27, 28, 29, 30)
HADAL_PRODUCT(64, 32, 32, 33, 34, 35, 36, 37, 38)
HADAL_PRODUCT(96, 48, 48, 49, 50, 51, 52, 53, 54)
HADAL_PRODUCT(128, 64, 64, 65, 66, 67, 68, 69, 70)
HADAL_PRODUCT(192, 96, 96, 97, 98, 99, 100, 101, 102)

#undef HADAL_PRODUCT
#undef HADAL_N8
#undef HADAL_N24
#undef HADAL_N32
#undef HADAL_N48
#undef HADAL_N64
#undef HADAL_N96
#undef HADAL_D8
#undef HADAL_D24
#undef HADAL_D32
#undef HADAL_D48
#undef HADAL_D64
#undef HADAL_D96

}  // namespace hadal::cuda::flash
