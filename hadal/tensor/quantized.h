// tensor/quantized.h: codes and their scales as one object, so that nobody can pass one without the
// other.
//
//   value(n, k) = code(n, k) * scale(n / tiling.rows, k / tiling.cols)
//
// FP8 E4M3 codes have F32 scales: activations and gradients in tiles of 1x128 along the row (128x1
// where the tokens are the inner axis), weights in blocks of 128x128 (report section 3.3).
// hadal's 8- and 4-bit weights have BF16 scales of 32 values along the row (docs/formats.md); two
// 4-bit codes share a byte, the even column in the low half.
#pragma once

#include "hadal/core/checked_math.h"
#include "hadal/tensor/tensor.h"

namespace hadal {

// How many rows and columns share one scale. A ragged last tile is smaller.
struct Tiling {
  int64_t rows = 1, cols = 1;
  bool operator==(const Tiling&) const = default;
};
inline constexpr int64_t kFp8Tile = 128;
inline constexpr int64_t kQuantBlock = 32;
inline constexpr Tiling kRowTiles{1, kFp8Tile};
inline constexpr Tiling kColumnTiles{kFp8Tile, 1};
inline constexpr Tiling kWeightBlocks{kFp8Tile, kFp8Tile};
inline constexpr Tiling kQuantBlocks{1, kQuantBlock};

// Elements of a row of `cols` codes of this type: two 4-bit codes share a byte.
inline int64_t code_columns(DType codes, int64_t cols) {
  return codes == DType::kU8 ? ceil_div(cols, int64_t{2}) : cols;
}

struct Quantized {
  Tensor codes;   // [N, code_columns] F8_E4M3, I8 or U8
  Tensor scales;  // [ceil(N/tiling.rows), ceil(K/tiling.cols)] F32 or BF16
  Tiling tiling;
  int64_t rows = 0, cols = 0;  // N, K

  Quantized share() const { return {codes.share(), scales.share(), tiling, rows, cols}; }
  int64_t bytes() const { return codes.bytes() + scales.bytes(); }
};

}  // namespace hadal
