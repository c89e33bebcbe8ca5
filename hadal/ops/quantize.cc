#include "hadal/ops/quantize.h"

#include "hadal/core/checked_math.h"
#include "hadal/kernels/quantize.h"

namespace hadal {
namespace {

void quantize(Context& ctx, View<f8e4m3, 2> codes, View<float, 2> scales, View<const float, 2> x,
              Tiling tile, bool power_of_two, bool amax_floor) {
  expect_shape(codes, x.shape(), "quantize codes");
  expect_shape(scales, {ceil_div(x.dim(0), tile.rows), ceil_div(x.dim(1), tile.cols)},
               "quantize scales");
  switch (ctx.device) {
    case Device::kReference:
      return reference::quantize(codes, scales, x, tile.rows, tile.cols, power_of_two, amax_floor);
    case Device::kCpu:
      return cpu::quantize(ctx.pool, codes, scales, x, tile.rows, tile.cols, power_of_two,
                           amax_floor);
    case Device::kCuda:
      return cuda::quantize(codes, scales, x, tile.rows, tile.cols, power_of_two, amax_floor);
  }
}

void dequantize(Context& ctx, View<float, 2> x, View<const f8e4m3, 2> codes,
                View<const float, 2> scales, Tiling tile) {
  expect_shape(codes, x.shape(), "dequantize codes");
  expect_shape(scales, {ceil_div(x.dim(0), tile.rows), ceil_div(x.dim(1), tile.cols)},
               "dequantize scales");
  WeightView view;
  view.form = WeightForm::kFp8;
  view.data = codes.data();
  view.rows = codes.dim(0);
  view.cols = codes.dim(1);
  view.row_stride = codes.stride(0);
  view.scales = {scales.data(), scales.stride(0), tile};
  switch (ctx.device) {
    case Device::kReference:
      return reference::dequantize(x, view);
    case Device::kCpu:
      return cpu::dequantize(ctx.pool, x, view);
    case Device::kCuda:
      return cuda::dequantize(x, view);
  }
}

}  // namespace

void quantize_tiles(Context& ctx, View<f8e4m3, 2> codes, View<float, 2> scales,
                    View<const float, 2> x, const TileOptions& options) {
  quantize(ctx, codes, scales, x, kRowTiles, options.power_of_two, options.amax_floor);
}

void quantize_column_tiles(Context& ctx, View<f8e4m3, 2> codes, View<float, 2> scales,
                           View<const float, 2> x, const TileOptions& options) {
  quantize(ctx, codes, scales, x, kColumnTiles, options.power_of_two, options.amax_floor);
}

void quantize_blocks(Context& ctx, View<f8e4m3, 2> codes, View<float, 2> scales,
                     View<const float, 2> w, bool power_of_two) {
  quantize(ctx, codes, scales, w, kWeightBlocks, power_of_two, /*amax_floor=*/false);
}

void dequantize_tiles(Context& ctx, View<float, 2> x, View<const f8e4m3, 2> codes,
                      View<const float, 2> scales) {
  dequantize(ctx, x, codes, scales, kRowTiles);
}

void dequantize_blocks(Context& ctx, View<float, 2> w, View<const f8e4m3, 2> codes,
                       View<const float, 2> scales) {
  dequantize(ctx, w, codes, scales, kWeightBlocks);
}

}  // namespace hadal
