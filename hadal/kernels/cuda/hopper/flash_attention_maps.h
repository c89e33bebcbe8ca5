// kernels/cuda/hopper/flash_attention_maps.h: the host's side of both kernels: what the copy engine
// knows of a matrix, which widths there are.
#pragma once

#include <cuda.h>

#include <cstdint>

#include "hadal/kernels/cuda/hopper/flash_attention.h"

namespace hadal::cuda::flash {

// Boxes of [box_rows, box_columns] of a BF16 matrix [rows, columns] on the device, whose rows have no gaps.
// box_columns is 16, 32 or 64; the box lands as a chunk of flash_attention_tiles.cuh. Unavailable where
// the driver does not take it.
CUtensorMap box_map(const bf16* matrix, int64_t rows, int64_t columns, int box_rows,
                    int box_columns);

// ShapeError unless flash_attention_supported.
void expect_supported(const FlashDims& dims);

}  // namespace hadal::cuda::flash
