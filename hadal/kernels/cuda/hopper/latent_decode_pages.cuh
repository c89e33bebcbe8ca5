// kernels/cuda/hopper/latent_decode_pages.cuh: one warpgroup of latent_decode.cu that fetches pages into shared
// memory, two of them at a time, always as BF16.
//
// A page's tile [64 rows, 576] is nine blocks of 64 columns, swizzled boxes of 128-byte rows (products.cuh):
// 0..3 the left half of the latent, 4..7 its right half, 8 the rotary part. It is filled and freed in two parts, because the products
// are done with them at different times: "right" (blocks 4..8) and "left" (0..3).
//
// Rows behind the piece's last are zeros in the tile: a probability of 0 times what lies there must be 0.
//
// Not yet run on a card.
#pragma once

#include <cuda_fp16.h>

#include <cstddef>

#include "hadal/kernels/cuda/hopper/products.cuh"

namespace hadal::cuda::decode {

inline constexpr int kRows = 64;  // of a page, and of a tile of queries
using BlockRows = SwizzledRows<128>;
inline constexpr int kBlockBytes = kRows * 128;
inline constexpr int kLatentWidth = 512, kRopeWidth = 64;
inline constexpr int kBlocks = 9;
inline constexpr int kTileBytes = kBlocks * kBlockBytes;
inline constexpr int kRopeBlock = 8;
enum Part { kRight, kLeft };
__device__ constexpr int first_block(int part) { return part == kRight ? 4 : 0; }
__device__ constexpr int block_count(int part) { return part == kRight ? 5 : 4; }

// Addresses in shared memory. Barriers: `full` of a buffer's part is passed when its data is there (one
// arrival), `empty` when the warpgroup that multiplies it last is done (an arrival per warp).
struct Shared {
  uint32_t base;

  static constexpr int kBarriers = 3 * kTileBytes + kBlockBytes + 2 * kRows * 4;
  static constexpr int kBytes = kBarriers + 12 * 8;

  __device__ uint32_t queries() const { return base; }
  __device__ uint32_t page(int buffer) const { return base + (1 + buffer) * kTileBytes; }
  __device__ uint32_t probabilities() const { return base + 3 * kTileBytes; }
  __device__ uint32_t row_factors() const { return probabilities() + kBlockBytes; }
  __device__ uint32_t row_totals() const { return row_factors() + kRows * 4; }
  __device__ uint32_t full(int buffer, int part) const { return barrier(2 * buffer + part); }
  __device__ uint32_t empty(int buffer, int part) const { return barrier(4 + 2 * buffer + part); }
  __device__ uint32_t probabilities_full() const { return barrier(8); }
  __device__ uint32_t probabilities_empty() const { return barrier(9); }
  __device__ uint32_t last_page(int part) const { return barrier(10 + part); }

 private:
  __device__ uint32_t barrier(int i) const { return base + kBarriers + 8 * i; }
};
static_assert(Shared::kBytes <= 227 * 1024);

// The rows of one piece of a sequence.
struct Piece {
  const int32_t* pages;  // of the piece
  int n_pages, n_rows;   // n_rows > 64 (n_pages - 1)

  __device__ int rows_of(int page) const { return min(kRows, n_rows - page * kRows); }
};

inline constexpr int kFetchThreads = 128;
__device__ inline void fetch_sync() { named_wait(2, kFetchThreads); }

// --- BF16 rows: the copy engine -------------------------------------------------------------------------

__device__ inline void copy_part(const Shared& shared, const CUtensorMap* map, int buffer, int part,
                                 int page_id, uint32_t barrier) {
  barrier_expect(barrier, block_count(part) * kBlockBytes);
  // The products begin with the rotary part.
#pragma unroll
  for (int i = block_count(part) - 1; i >= 0; --i) {
    const int block = first_block(part) + i;
    load_box(shared.page(buffer) + block * kBlockBytes, map, barrier, block * 64, page_id * kRows);
  }
}

__device__ inline void fetch_bf16(const Shared& shared, const CUtensorMap* map, const Piece& piece,
                                  int thread) {
  const int last = piece.n_pages - 1;
  const int last_rows = piece.rows_of(last);
  const int n_whole = last_rows == kRows ? piece.n_pages : last;
  if (thread < 32) {
    for (int i = 0; i < n_whole; ++i) {
      if (thread == 0) {
        const int buffer = i & 1, parity = (i >> 1 & 1) ^ 1;
        const int page_id = piece.pages[i];
#pragma unroll
        for (int part = kRight; part <= kLeft; ++part) {
          barrier_wait_endless(shared.empty(buffer, part), parity);
          copy_part(shared, map, buffer, part, page_id, shared.full(buffer, part));
        }
      }
      __syncwarp();
    }
  }
  if (n_whole == piece.n_pages) return;

  // A page of fewer rows arrives at barriers of its own (used once), is completed with zeros, and is
  // handed on as full only then.
  const int buffer = last & 1, parity = (last >> 1 & 1) ^ 1;
  if (thread == 0) {
#pragma unroll
    for (int part = kRight; part <= kLeft; ++part) {
      barrier_wait_endless(shared.empty(buffer, part), parity);
      copy_part(shared, map, buffer, part, piece.pages[last], shared.last_page(part));
    }
  }
  __syncwarp();
#pragma unroll
  for (int part = kRight; part <= kLeft; ++part) {
    barrier_wait_endless(shared.last_page(part), 0);
    const uint32_t to = shared.page(buffer) + first_block(part) * kBlockBytes;
    for (int block = 0; block < block_count(part); ++block) {
      BlockRows::clear_from(to + block * kBlockBytes, last_rows, kRows, thread, kFetchThreads);
    }
    fence_async();
    fetch_sync();
    if (thread == 0) barrier_arrive(shared.full(buffer, part));
  }
}

// --- FP8 rows: through registers ------------------------------------------------------------------------

inline constexpr int kFp8RowBytes = 656, kFp8ScalesAt = 512, kFp8RopeAt = 528;

// Half of the latent of a page, 256 columns. Of rows 8 i + thread / 16 a thread has the 16 codes from
// column 16 (thread % 16) on, and of row 8 (thread % 8) + thread / 16 the scale of the 128 columns in which
// these lie: the scales of its rows are in the 8 lanes around it.
struct Fp8Half {
  uint4 codes[8];
  float scale;
};

__device__ inline void load(Fp8Half& half, const std::byte* page, int part, int n_rows,
                            int thread) {
  const int piece = thread & 15, first_row = thread >> 4;
  const int column = (part == kRight ? 256 : 0) + 16 * piece;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const int row = 8 * i + first_row;
    half.codes[i] = uint4{0, 0, 0, 0};
    if (row < n_rows) {
      half.codes[i] = __ldg(reinterpret_cast<const uint4*>(page + row * kFp8RowBytes + column));
    }
  }
  const int row = 8 * (thread & 7) + first_row;
  half.scale = 0;
  if (row < n_rows) {
    half.scale = __ldg(reinterpret_cast<const float*>(page + row * kFp8RowBytes + kFp8ScalesAt) +
                       column / 128);
  }
}

// Four E4M3 codes times a scale. Exact: E4M3 is part of F16, and the scale is a power of two.
__device__ inline uint2 scaled(uint32_t codes, float scale) {
  uint32_t halves[2];
  asm("{ .reg .b16 low, high; mov.b32 {low, high}, %2; cvt.rn.f16x2.e4m3x2 %0, low; "
      "cvt.rn.f16x2.e4m3x2 %1, high; }"
      : "=r"(halves[0]), "=r"(halves[1])
      : "r"(codes));
  uint32_t pairs[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const float2 v = __half22float2(*reinterpret_cast<const __half2*>(&halves[i]));
    pairs[i] = pack_bf16(v.x * scale, v.y * scale);
  }
  return {pairs[0], pairs[1]};
}

__device__ inline void store(const Fp8Half& half, uint32_t tile, int part, int thread) {
  const int piece = thread & 15, first_row = thread >> 4;
  const uint32_t block = tile + (first_block(part) + (piece >> 2)) * kBlockBytes;
  const int at = 2 * (piece & 3);
  // Eight lanes store together: four of one block, four of the next. Those begin with their second
  // pieces, so that all eight go to different banks.
  const int second_first = piece >> 2 & 1;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const float scale = __shfl_sync(0xFFFFFFFF, half.scale, (thread & 24) | i);
    const uint2 a = scaled(half.codes[i].x, scale), b = scaled(half.codes[i].y, scale);
    const uint2 c = scaled(half.codes[i].z, scale), d = scaled(half.codes[i].w, scale);
    const uint4 low{a.x, a.y, b.x, b.y}, high{c.x, c.y, d.x, d.y};
    const int row = 8 * i + first_row;
    store_shared(block + BlockRows::piece_at(row, at + second_first), second_first ? high : low);
    store_shared(block + BlockRows::piece_at(row, at + 1 - second_first),
                 second_first ? low : high);
  }
}

// The rotary part of a page, BF16 already: rows 16 i + thread / 8, piece thread % 8.
struct RopeRows {
  uint4 values[4];
};
__device__ inline void load(RopeRows& rope, const std::byte* page, int n_rows, int thread) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int row = 16 * i + (thread >> 3);
    rope.values[i] = uint4{0, 0, 0, 0};
    if (row < n_rows) {
      rope.values[i] = __ldg(
          reinterpret_cast<const uint4*>(page + row * kFp8RowBytes + kFp8RopeAt) + (thread & 7));
    }
  }
}
__device__ inline void store(const RopeRows& rope, uint32_t tile, int thread) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    store_shared(
        tile + kRopeBlock * kBlockBytes + BlockRows::piece_at(16 * i + (thread >> 3), thread & 7),
        rope.values[i]);
  }
}

__device__ inline void hand_on(uint32_t barrier, int thread) {
  fence_async();
  fetch_sync();
  if (thread == 0) barrier_arrive(barrier);
}

// One half is on its way from device memory while the other is converted.
__device__ inline void fetch_fp8(const Shared& shared, const std::byte* pages, const Piece& piece,
                                 int thread) {
  const auto page = [&](int i) { return pages + int64_t{piece.pages[i]} * (kRows * kFp8RowBytes); };
  Fp8Half right, left;
  RopeRows rope;
  load(right, page(0), kRight, piece.rows_of(0), thread);
  load(rope, page(0), piece.rows_of(0), thread);
  for (int i = 0; i < piece.n_pages; ++i) {
    const int buffer = i & 1, parity = (i >> 1 & 1) ^ 1;
    load(left, page(i), kLeft, piece.rows_of(i), thread);
    barrier_wait_endless(shared.empty(buffer, kRight), parity);
    store(right, shared.page(buffer), kRight, thread);
    store(rope, shared.page(buffer), thread);
    hand_on(shared.full(buffer, kRight), thread);
    if (i + 1 < piece.n_pages) {
      load(right, page(i + 1), kRight, piece.rows_of(i + 1), thread);
      load(rope, page(i + 1), piece.rows_of(i + 1), thread);
    }
    barrier_wait_endless(shared.empty(buffer, kLeft), parity);
    store(left, shared.page(buffer), kLeft, thread);
    hand_on(shared.full(buffer, kLeft), thread);
  }
}

}  // namespace hadal::cuda::decode
