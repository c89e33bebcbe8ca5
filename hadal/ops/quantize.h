// ops/quantize.h: FP8 E4M3 tiles and blocks with their scales (docs/precision.md, "Tiles and blocks").
//
//   amax = max |x| of the tile    s = amax / 448    code = e4m3(x / s)    x ~ code * s    (f32)
// Activations use 1x128 tiles along the row (floor: amax at least 1e-4), weights 128x128 blocks;
// gradient tiles and weights have no floor, there amax 0 gives scale 1. A ragged last tile counts
// as padded with zeros. With power_of_two, s is rounded up to a power of two (UE8M0).
#pragma once

#include "hadal/tensor/context.h"
#include "hadal/tensor/quantized.h"

namespace hadal {

struct TileOptions {
  bool power_of_two = false;
  bool amax_floor = true;  // 1e-4
};

// x [T,K] -> codes [T,K], scales [T, ceil(K/128)]
void quantize_tiles(Context& ctx, View<f8e4m3, 2> codes, View<float, 2> scales,
                    View<const float, 2> x, const TileOptions& options);
// The same with tiles of 128 tokens x 1 channel, as the weight gradient needs them:
// x [T,K] -> codes [T,K], scales [ceil(T/128), K]
void quantize_column_tiles(Context& ctx, View<f8e4m3, 2> codes, View<float, 2> scales,
                           View<const float, 2> x, const TileOptions& options);
// w [N,K] -> codes [N,K], scales [ceil(N/128), ceil(K/128)]
void quantize_blocks(Context& ctx, View<f8e4m3, 2> codes, View<float, 2> scales,
                     View<const float, 2> w, bool power_of_two);

// x [T,K] = code * scale, of tiles of 128 tokens x 1 channel.
void dequantize_column_tiles(Context& ctx, View<float, 2> x, View<const f8e4m3, 2> codes,
                             View<const float, 2> scales);
// x [N,K] = code * scale, of codes of every form (also ops/quantize_q8_q4.h).
void dequantize(Context& ctx, View<float, 2> x, const Quantized& codes);
Tensor dequantized(Context& ctx, const Quantized& codes);  // the same in a tensor of its own

}  // namespace hadal
