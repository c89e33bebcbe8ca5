// kernels/cuda/hopper/flash_attention_tiles.cuh: how tiles of q, k, v lie in shared memory, and what both
// directions of attention do alike.
//
// A panel [Rows, Cols] of BF16 is cut into chunks of `Chunk` columns (16, 32 or 64: 32, 64 or 128 bytes);
// a chunk is [Rows, Chunk], a swizzled box of products.cuh. A panel begins at a multiple of 1024 bytes, and
// so does every chunk.
#pragma once

#include "hadal/core/error.h"
#include "hadal/kernels/cuda/hopper/flash_attention.h"
#include "hadal/kernels/cuda/hopper/products.cuh"
#include "hadal/kernels/cuda/hopper/tensor_map.h"

namespace hadal::cuda::flash {

template <int Rows_, int Cols_, int Chunk_>
struct Panel {
  static constexpr int Rows = Rows_, Cols = Cols_, Chunk = Chunk_;
  static constexpr int kChunks = Cols / Chunk, kRowBytes = 2 * Chunk;
  static constexpr uint32_t kChunkBytes = Rows * kRowBytes, kBytes = kChunks * kChunkBytes;
  static_assert(Cols % Chunk == 0 && kChunkBytes % 1024 == 0);
  using Box = SwizzledRows<kRowBytes>;

  // Operand whose rows are its M or N and whose columns are k: columns 16 * step ... of the rows from
  // `row` (a multiple of 8) on.
  __device__ static auto by_columns(uint32_t panel, int step, int row = 0) {
    constexpr uint32_t kSteps = Chunk / 16;  // in a chunk
    const auto chunk = static_cast<uint32_t>(step) / kSteps, in_chunk = step % kSteps;
    return Box::along(panel + static_cast<uint32_t>(row) * kRowBytes)
        .at(chunk * kChunkBytes + in_chunk * Box::kStepAlong);
  }
  // Operand whose rows are k and whose columns are its M or N: rows 16 * step ..., columns from the
  // beginning of `chunk` on, as many as the product takes.
  __device__ static auto by_rows(uint32_t panel, int step, int chunk = 0) {
    return Box::across(panel + static_cast<uint32_t>(chunk) * kChunkBytes, kChunkBytes)
        .at(static_cast<uint32_t>(step) * Box::kStepAcross);
  }

  // Zeros for the rows from `first` on, by `threads` threads together.
  __device__ static void clear_from(uint32_t panel, int first, int thread, int threads) {
#pragma unroll 1
    for (int chunk = 0; chunk < kChunks; ++chunk)
      Box::clear_from(panel + static_cast<uint32_t>(chunk) * kChunkBytes, first, Rows, thread,
                      threads);
  }

  // Loads rows from `row` on of columns column ... column + Cols of the map's matrix.
  __device__ static void load(void* panel, const CUtensorMap* map, int column, int row,
                              uint64_t* barrier) {
#pragma unroll
    for (int chunk = 0; chunk < kChunks; ++chunk)
      load_box(static_cast<uint8_t*>(panel) + static_cast<uint32_t>(chunk) * kChunkBytes, map,
               barrier, column + chunk * Chunk, row);
  }
  // A BF16 matrix [rows, columns] on the device, whose rows have no gaps, in boxes that are chunks.
  static CUtensorMap map(const bf16* matrix, int64_t rows, int64_t columns) {
    return tensor_map(matrix, {CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
                               2,
                               2,
                               {columns, rows, 1},
                               {1, columns, 0},
                               {Chunk, Rows, 1},
                               kRowBytes});
  }
};

__device__ inline void store_pair(float* to, float x, float y) {
  *reinterpret_cast<float2*>(to) = make_float2(x, y);
}
__device__ inline void store_pair(bf16* to, float x, float y) {
  *reinterpret_cast<uint32_t*>(to) = pack_bf16(x, y);
}

inline constexpr float kLog2E = 1.4426950408889634F;

// The head widths a kernel is made for.
template <int DNope, int DRope, int DV>
struct Widths {
  static constexpr int kNope = DNope, kRope = DRope, kV = DV, kQk = DNope + DRope;
  static constexpr int kKv = DNope + DV;  // a row of kv
};

inline void expect_supported(const FlashDims& dims) {
  if (!flash_attention_supported(dims))
    throw ShapeError(concat("attention: head widths ", dims.d_nope, "/", dims.d_rope, "/", dims.d_v,
                            " have no kernel; 128/64/128 and 64/32/64 have"));
}

}  // namespace hadal::cuda::flash
