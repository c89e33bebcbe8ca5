// kernels/cuda/quantize_fp8.h: E4M3 codes of tiles on a card (docs/precision.md, "Tiles and blocks"), in one
// pass over the values: read once, written once. The bits are those of kernels/reference/quantize.cc.
// All memory is the card's, of the stream's device. Not yet run on a card.
#pragma once

#include "hadal/kernels/cuda_stream.h"
#include "hadal/tensor/dtype.h"
#include "hadal/tensor/view.h"

namespace hadal::cuda {

struct ScaleRule {
  bool power_of_two = true;  // scales rounded up to a power of two
  bool amax_floor = false;   // amax at least 1e-4: activations of inference
};

// Codes in rows of `stride`, and scales: that of tile (i, j) at scales[i * row_stride + j * col_stride].
struct TileCodes {
  f8e4m3* codes = nullptr;
  int64_t stride = 0;
  float* scales = nullptr;
  int64_t scale_row_stride = 0, scale_col_stride = 1;
};

// T is float or bf16 throughout; x [T, K].

// Tiles of 1 x 128: codes [T, K], scale (t, k / 128).
template <class T>
void quantize_row_tiles(Stream& stream, const TileCodes& out, View<const T, 2> x, ScaleRule rule);

// Tiles of 128 x 1, codes turned: codes [K, T], the tokens of a channel one after another, as the weight
// gradient multiplies them; scale (t / 128, k).
// REQUIRES stride a multiple of 16 and `codes` aligned so; codes of tokens from T to the next multiple of 16
// are written as zeros.
template <class T>
void quantize_column_tiles(Stream& stream, const TileCodes& out, View<const T, 2> x,
                           ScaleRule rule);

// Both of them: a gradient is read once for its two products.
template <class T>
void quantize_row_and_column_tiles(Stream& stream, const TileCodes& rows, const TileCodes& columns,
                                   View<const T, 2> x, ScaleRule rule);

// Blocks of 128 x 128 without a floor: codes [N, K] of w [N, K], scale (n / 128, k / 128). Also turned, where
// `turned` is given: codes [K, turned_stride], the same scales; REQUIRES as for quantize_column_tiles.
template <class T>
void quantize_blocks(Stream& stream, const TileCodes& out, f8e4m3* turned, int64_t turned_stride,
                     View<const T, 2> w, bool power_of_two);

// Row tiles of h = silu(gate) up, [T, F] all.
template <class T>
void swiglu_row_tiles(Stream& stream, const TileCodes& out, View<const T, 2> gate,
                      View<const T, 2> up, ScaleRule rule);

// Row tiles of y = w x r, and r[t] = 1 / sqrt(mean_i x[t,i]^2 + eps) as ops/rmsnorm.h has them.
template <class T>
void rmsnorm_row_tiles(Stream& stream, const TileCodes& out, View<float, 1> r, View<const T, 2> x,
                       View<const float, 1> w, float eps, ScaleRule rule);

// Column tiles, turned, of what row tiles stand for: x = code * scale, [T, K]. The second operand of the weight
// gradient out of the activations that were kept in FP8.
void retile_rows_to_columns(Stream& stream, const TileCodes& out, const TileCodes& rows, int64_t T,
                            int64_t K, ScaleRule rule);

}  // namespace hadal::cuda
