// reproduce/fp8_tiles.h: a matrix as it comes back from E4M3 codes, in the tilings of training.
#pragma once

#include "hadal/tensor/context.h"
#include "hadal/tensor/quantized.h"

namespace hadal {

// `tiling`: kRowTiles, kColumnTiles or kWeightBlocks (ops/quantize.h). amax_floor: of row and
// column tiles, as inference has it.
Quantized e4m3_tiles(Context& ctx, const Tensor& x, Tiling tiling, bool power_of_two,
                     bool amax_floor = false);
Tensor through_e4m3(Context& ctx, const Tensor& x, Tiling tiling, bool power_of_two);

}  // namespace hadal
