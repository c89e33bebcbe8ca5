// kernels/cpu/quantize.h: ops/quantize.h in vectors; the codes equal the reference's bit for bit.
#pragma once

#include "hadal/core/thread_pool.h"
#include "hadal/tensor/dtype.h"
#include "hadal/tensor/view.h"

namespace hadal::cpu {

// Tiles of tile_rows x tile_cols; see reference::quantize.
void quantize(ThreadPool& pool, View<f8e4m3, 2> codes, View<float, 2> scales,
              View<const float, 2> x, int64_t tile_rows, int64_t tile_cols, bool power_of_two,
              bool amax_floor);
void dequantize(ThreadPool& pool, View<float, 2> x, View<const f8e4m3, 2> codes,
                View<const float, 2> scales, int64_t tile_rows, int64_t tile_cols);

}  // namespace hadal::cpu
