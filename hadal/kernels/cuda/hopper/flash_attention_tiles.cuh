// kernels/cuda/hopper/flash_attention_tiles.cuh: how tiles of q, k, v lie in shared memory.
//
// A panel [Rows, Cols] of BF16 is cut into chunks of `Chunk` columns (16, 32 or 64: 32, 64 or 128 bytes);
// a chunk is [Rows, Chunk] with its rows one behind the other, its 16-byte pieces exchanged within 8 rows
// as the copy engine does it ("swizzle" of the chunk's width), so that 8 rows are read from all banks.
// A panel begins at a multiple of 1024 bytes, and so does every chunk.
#pragma once

#include "hadal/kernels/cuda/hopper/mma_flash.cuh"

namespace hadal::cuda::flash {

template <int Rows_, int Cols_, int Chunk_>
struct Panel {
  static constexpr int Rows = Rows_, Cols = Cols_, Chunk = Chunk_;
  static constexpr int kChunks = Cols / Chunk, kRowBytes = 2 * Chunk;
  static constexpr uint32_t kChunkBytes = Rows * kRowBytes, kBytes = kChunks * kChunkBytes;
  static_assert(Cols % Chunk == 0 && kChunkBytes % 1024 == 0);
  static_assert(Chunk == 16 || Chunk == 32 || Chunk == 64);

  // Bits 0..13 address, 16..29 leading and 32..45 stride offset, each in 16 bytes; 62..63 swizzle
  // (1: 128 bytes, 2: 64, 3: 32). The stride offset is that of 8 rows in both orders.
  static constexpr uint64_t kSwizzle = Chunk == 64 ? 1 : Chunk == 32 ? 2 : 3;
  static constexpr uint64_t kFlags = kSwizzle << 62 | uint64_t{8 * kRowBytes / 16} << 32;

  // Operand whose rows are its M or N and whose columns are k: columns 16 * step ... of the rows from
  // `row` (a multiple of 8) on.
  __device__ static uint64_t by_columns(uint32_t panel, int step, int row = 0) {
    const uint32_t chunk = static_cast<uint32_t>(step) * 16 / Chunk;
    const uint32_t byte = static_cast<uint32_t>(step) * 16 % Chunk * 2;
    const uint32_t at = panel + chunk * kChunkBytes + static_cast<uint32_t>(row) * kRowBytes + byte;
    return kFlags | uint64_t{1} << 16 | at >> 4;
  }
  // Operand whose rows are k and whose columns are its M or N: rows 16 * step ..., columns from the
  // beginning of `chunk` on, as many as the product takes. The leading offset is that of a chunk.
  __device__ static uint64_t by_rows(uint32_t panel, int step, int chunk = 0) {
    const uint32_t at = panel + static_cast<uint32_t>(chunk) * kChunkBytes +
                        static_cast<uint32_t>(step) * 16 * kRowBytes;
    return kFlags | uint64_t{kChunkBytes / 16} << 16 | at >> 4;
  }
  // Where the 16-byte piece `piece` of a row of a chunk is. Every 128 bytes of rows exchange alike.
  __device__ static uint32_t piece_at(uint32_t chunk, int row, int piece) {
    constexpr int kPerExchange = 64 / Chunk;  // rows
    const int moved = piece ^ (row / kPerExchange % (Chunk / 8));
    return chunk + static_cast<uint32_t>(row * kRowBytes + moved * 16);
  }

  // Loads rows from `row` on of columns column ... column + Cols of the map's matrix.
  __device__ static void load(void* panel, const CUtensorMap* map, int column, int row,
                              uint64_t* barrier) {
#pragma unroll
    for (int chunk = 0; chunk < kChunks; ++chunk)
      load_box(static_cast<uint8_t*>(panel) + static_cast<uint32_t>(chunk) * kChunkBytes, map,
               column + chunk * Chunk, row, barrier);
  }
};

// The head widths a kernel is made for.
template <int DNope, int DRope, int DV>
struct Widths {
  static constexpr int kNope = DNope, kRope = DRope, kV = DV, kQk = DNope + DRope;
  static constexpr int kKv = DNope + DV;  // a row of kv
};

}  // namespace hadal::cuda::flash
