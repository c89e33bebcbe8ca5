// kernels/cuda/hopper/products.cuh: the warpgroup's matrix product (wgmma): how operands lie in shared memory,
// how the matrix units are told, the instructions. Names and rules: the PTX ISA, section 9.7.15.
//
//   d[64, N] (+)= a[64, K] b[N, K]^T      K: 32 bytes, that is 16 BF16 or 32 E4M3; d: F32
//
// Thread t of the warpgroup holds in d[4 j + 2 h + e] the element of row 16 (t / 32) + (t % 32) / 4 + 8 h and
// column 8 j + 2 (t % 4) + e. An A operand in registers lies likewise: a0 and a1 are rows h = 0 and 1 of
// columns 2 (t % 4) and the next, a2 and a3 those of 8 columns further on.
//
// Not yet run on a card.
#pragma once

#include "hadal/kernels/cuda/hopper/instructions.cuh"

namespace hadal::cuda {

// ---- Operands in shared memory. An operand's descriptor has 64 bits: its address (0..13) and the leading
// offset (16..29) in the low word, the stride offset (32..45, in 16 bytes like the others) and the swizzle
// (62..63) in the high word, which the layout decides and is known when compiling.

template <uint32_t kHighWord>
struct Operand {
  uint32_t low;
  // The operand `bytes` further on.
  __device__ __forceinline__ Operand at(uint32_t bytes) const { return {low + (bytes >> 4)}; }
};
// In a cluster the upper bits of an address say whose memory it is; the matrix units do not want them.
template <uint32_t kHighWord>
__device__ __forceinline__ Operand<kHighWord> operand(uint32_t address, uint32_t leading_bytes) {
  return {leading_bytes >> 4 << 16 | (address & 0x3FFFF) >> 4};
}

// A box whose rows are 32, 64 or 128 bytes and lie one behind the other, from a multiple of 1024 bytes on. Its
// 16-byte pieces are exchanged within 8 rows as the copy engine does it ("swizzle" of that width), so that a
// piece of 8 rows is read from all banks.
template <int kRowBytes>
struct SwizzledRows {
  static_assert(kRowBytes == 32 || kRowBytes == 64 || kRowBytes == 128);
  // The stride offset is that of 8 rows in both orders.
  static constexpr uint32_t kSwizzle = kRowBytes == 128 ? 1 : kRowBytes == 64 ? 2 : 3;
  static constexpr uint32_t kHighWord = kSwizzle << 30 | 8 * kRowBytes / 16;
  using Operand = cuda::Operand<kHighWord>;

  // Where the 16-byte piece `piece` of a row begins. Every 128 bytes of rows exchange alike.
  __device__ static __forceinline__ uint32_t piece_at(int row, int piece) {
    constexpr int kPerExchange = 128 / kRowBytes;  // rows
    const int moved = piece ^ (row / kPerExchange & (kRowBytes / 16 - 1));
    return static_cast<uint32_t>(row * kRowBytes + moved * 16);
  }
  // Rows of the box are rows of the operand, its columns the summed axis: a step of one product is 32 bytes.
  // `address` begins at a multiple of 8 rows, or such steps after it.
  __device__ static __forceinline__ Operand along(uint32_t address) {
    return operand<kHighWord>(address, 16);
  }
  static constexpr uint32_t kStepAlong = 32;
  // Rows of the box are the summed axis: a step of 16 (BF16) is 16 rows. Columns of the box are rows of the
  // operand; the next columns are in the next box, `box_bytes` further on.
  __device__ static __forceinline__ Operand across(uint32_t address, uint32_t box_bytes) {
    return operand<kHighWord>(address, box_bytes);
  }
  static constexpr uint32_t kStepAcross = 16 * kRowBytes;

  // Zeros for the rows of a box from `first` on, by `threads` threads together: a row's pieces are exchanged
  // within the row.
  __device__ static __forceinline__ void clear_from(uint32_t box, int first, int rows, int thread,
                                                    int threads) {
#pragma unroll 1
    for (int at = first * kRowBytes + 16 * thread; at < rows * kRowBytes; at += 16 * threads) {
      store_shared(box + static_cast<uint32_t>(at), uint4{0, 0, 0, 0});
    }
  }
};

// ---- Products in flight.

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
// What products read from or write to registers between their start and the wait for them must not be moved
// over either by the compiler, which does not know that they are still running.
template <int kCount>
__device__ __forceinline__ void hold(float (&values)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+f"(values[i])::"memory");
}
template <int kCount>
__device__ __forceinline__ void hold(uint32_t (&values)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+r"(values[i])::"memory");
}

// ---- The instructions. In the text of one the numbers of d's registers come first, those of the other
// operands behind them.

// clang-format off
#define HADAL_LIST_4 "%0,%1,%2,%3"
#define HADAL_LIST_24 HADAL_LIST_4 ",%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23"
#define HADAL_LIST_32 HADAL_LIST_24 ",%24,%25,%26,%27,%28,%29,%30,%31"
#define HADAL_LIST_48 HADAL_LIST_32 ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47"
#define HADAL_LIST_64 HADAL_LIST_48 ",%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
#define HADAL_LIST_96 HADAL_LIST_64 ",%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79,%80,%81,%82,%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95"
#define HADAL_LIST_128 HADAL_LIST_96 ",%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111,%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127"
#define HADAL_FOUR(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define HADAL_EIGHT(i) HADAL_FOUR(i), HADAL_FOUR(i + 4)
#define HADAL_FLOATS_4 HADAL_FOUR(0)
#define HADAL_FLOATS_24 HADAL_FLOATS_4, HADAL_FOUR(4), HADAL_EIGHT(8), HADAL_EIGHT(16)
#define HADAL_FLOATS_32 HADAL_FLOATS_24, HADAL_EIGHT(24)
#define HADAL_FLOATS_48 HADAL_FLOATS_32, HADAL_EIGHT(32), HADAL_EIGHT(40)
#define HADAL_FLOATS_64 HADAL_FLOATS_48, HADAL_EIGHT(48), HADAL_EIGHT(56)
#define HADAL_FLOATS_96 HADAL_FLOATS_64, HADAL_EIGHT(64), HADAL_EIGHT(72), HADAL_EIGHT(80), HADAL_EIGHT(88)
#define HADAL_FLOATS_128 HADAL_FLOATS_96, HADAL_EIGHT(96), HADAL_EIGHT(104), HADAL_EIGHT(112), HADAL_EIGHT(120)
// clang-format on

// `add` false: what d held counts as zero. kAcrossA, kAcrossB: the summed axis of that operand is across.
// R = N / 2 registers; i0 ... the numbers behind them.
#define HADAL_PRODUCT_BF16(N, R, i0, i1, i2, i3, i4, i5, i6)                                       \
  template <bool kAcrossA, bool kAcrossB, uint32_t kHighA, uint32_t kHighB>                        \
  __device__ __forceinline__ void product_bf16(float(&d)[R], Operand<kHighA> a, Operand<kHighB> b, \
                                               bool add) {                                         \
    asm volatile("{\n.reg .pred add;\n.reg .b64 a, b;\nsetp.ne.b32 add, %" #i2                     \
                 ", 0;\nmov.b64 a, {%" #i0 ", %" #i3 "};\nmov.b64 b, {%" #i1 ", %" #i4             \
                 "};\nwgmma.mma_async.sync.aligned.m64n" #N "k16.f32.bf16.bf16 {" HADAL_LIST_##R   \
                 "}, a, b, add, 1, 1, %" #i5 ", %" #i6 ";\n}"                                      \
                 : HADAL_FLOATS_##R                                                                \
                 : "r"(a.low), "r"(b.low), "r"(static_cast<int>(add)), "n"(kHighA), "n"(kHighB),   \
                   "n"(kAcrossA ? 1 : 0), "n"(kAcrossB ? 1 : 0));                                  \
  }
HADAL_PRODUCT_BF16(8, 4, 4, 5, 6, 7, 8, 9, 10)
HADAL_PRODUCT_BF16(48, 24, 24, 25, 26, 27, 28, 29, 30)
HADAL_PRODUCT_BF16(64, 32, 32, 33, 34, 35, 36, 37, 38)
HADAL_PRODUCT_BF16(96, 48, 48, 49, 50, 51, 52, 53, 54)
HADAL_PRODUCT_BF16(128, 64, 64, 65, 66, 67, 68, 69, 70)
HADAL_PRODUCT_BF16(192, 96, 96, 97, 98, 99, 100, 101, 102)
HADAL_PRODUCT_BF16(256, 128, 128, 129, 130, 131, 132, 133, 134)

// The same with a in registers: a0 ... a3 as above.
#define HADAL_PRODUCT_BF16_REGISTERS(N, R, i0, i1, i2, i3, i4, i5, i6, i7)                      \
  template <bool kAcrossB, uint32_t kHighB>                                                     \
  __device__ __forceinline__ void product_bf16(float(&d)[R], uint32_t a0, uint32_t a1,          \
                                               uint32_t a2, uint32_t a3, Operand<kHighB> b,     \
                                               bool add) {                                      \
    asm volatile("{\n.reg .pred add;\n.reg .b64 b;\nsetp.ne.b32 add, %" #i5                     \
                 ", 0;\nmov.b64 b, {%" #i4 ", %" #i6 "};\nwgmma.mma_async.sync.aligned.m64n" #N \
                 "k16.f32.bf16.bf16 {" HADAL_LIST_##R "}, {%" #i0 ", %" #i1 ", %" #i2 ", %" #i3 \
                                                      "}, b, add, 1, 1, %" #i7 ";\n}"           \
                 : HADAL_FLOATS_##R                                                             \
                 : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b.low), "r"(static_cast<int>(add)),  \
                   "n"(kHighB), "n"(kAcrossB ? 1 : 0));                                         \
  }
HADAL_PRODUCT_BF16_REGISTERS(64, 32, 32, 33, 34, 35, 36, 37, 38, 39)
HADAL_PRODUCT_BF16_REGISTERS(128, 64, 64, 65, 66, 67, 68, 69, 70, 71)

// E4M3: 8-bit operands have their summed axis along.
#define HADAL_PRODUCT_E4M3(N, R, i0, i1, i2, i3, i4)                                               \
  template <uint32_t kHighA, uint32_t kHighB>                                                      \
  __device__ __forceinline__ void product_e4m3(float(&d)[R], Operand<kHighA> a, Operand<kHighB> b, \
                                               bool add) {                                         \
    asm volatile("{\n.reg .pred add;\n.reg .b64 a, b;\nsetp.ne.b32 add, %" #i2                     \
                 ", 0;\nmov.b64 a, {%" #i0 ", %" #i3 "};\nmov.b64 b, {%" #i1 ", %" #i4             \
                 "};\nwgmma.mma_async.sync.aligned.m64n" #N "k32.f32.e4m3.e4m3 {" HADAL_LIST_##R   \
                 "}, a, b, add, 1, 1;\n}"                                                          \
                 : HADAL_FLOATS_##R                                                                \
                 : "r"(a.low), "r"(b.low), "r"(static_cast<int>(add)), "n"(kHighA), "n"(kHighB));  \
  }
HADAL_PRODUCT_E4M3(8, 4, 4, 5, 6, 7, 8)
HADAL_PRODUCT_E4M3(128, 64, 64, 65, 66, 67, 68)

#undef HADAL_LIST_4
#undef HADAL_FLOATS_4
#undef HADAL_LIST_24
#undef HADAL_FLOATS_24
#undef HADAL_LIST_32
#undef HADAL_FLOATS_32
#undef HADAL_LIST_48
#undef HADAL_FLOATS_48
#undef HADAL_LIST_64
#undef HADAL_FLOATS_64
#undef HADAL_LIST_96
#undef HADAL_FLOATS_96
#undef HADAL_LIST_128
#undef HADAL_FLOATS_128
#undef HADAL_FOUR
#undef HADAL_EIGHT
#undef HADAL_PRODUCT_BF16
#undef HADAL_PRODUCT_BF16_REGISTERS
#undef HADAL_PRODUCT_E4M3

}  // namespace hadal::cuda
