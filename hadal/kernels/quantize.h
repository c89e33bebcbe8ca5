// kernels/quantize.h: the backends of ops/quantize.h. Groups of tile_rows x tile_cols elements
// share one scale (1x128, 128x1 or 128x128): scales [ceil(R / tile_rows), ceil(C / tile_cols)].
// All backends give the same bits. dequantize takes codes of every form whose scales stand for blocks of
// columns; dequantize_columns takes 128x1 tiles: x [T,C] = codes [T,C] * scales [ceil(T/128), C].
#pragma once

#include "hadal/core/thread_pool.h"
#include "hadal/kernels/cuda_stream.h"
#include "hadal/tensor/weight_view.h"

namespace hadal::reference {

void quantize(View<f8e4m3, 2> codes, View<float, 2> scales, View<const float, 2> x,
              int64_t tile_rows, int64_t tile_cols, bool power_of_two, bool amax_floor) noexcept;
void dequantize(View<float, 2> x, const WeightView& codes);
void dequantize_columns(View<float, 2> x, View<const f8e4m3, 2> codes,
                        View<const float, 2> scales) noexcept;

// The scale of a group: amax / 448, or 1 where amax is 0; the floor raises amax to 1e-4 first.
float fp8_scale(float amax, bool power_of_two, bool amax_floor) noexcept;

}  // namespace hadal::reference

namespace hadal::cpu {

void quantize(ThreadPool& pool, View<f8e4m3, 2> codes, View<float, 2> scales,
              View<const float, 2> x, int64_t tile_rows, int64_t tile_cols, bool power_of_two,
              bool amax_floor);
void dequantize(ThreadPool& pool, View<float, 2> x, const WeightView& codes);
void dequantize_columns(ThreadPool& pool, View<float, 2> x, View<const f8e4m3, 2> codes,
                        View<const float, 2> scales);

}  // namespace hadal::cpu

namespace hadal::cuda {

void quantize(Stream& stream, View<f8e4m3, 2> codes, View<float, 2> scales, View<const float, 2> x,
              int64_t tile_rows, int64_t tile_cols, bool power_of_two, bool amax_floor);
void dequantize(Stream& stream, View<float, 2> x, const WeightView& codes);
void dequantize_columns(Stream& stream, View<float, 2> x, View<const f8e4m3, 2> codes,
                        View<const float, 2> scales);

}  // namespace hadal::cuda
