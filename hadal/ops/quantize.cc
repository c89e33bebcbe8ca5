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
      return cuda::quantize(*ctx.stream, codes, scales, x, tile.rows, tile.cols, power_of_two,
                            amax_floor);
  }
}

// Codes and scales of the extents that rows, cols and tiling ask for.
void check_codes(const Quantized& q) {
  const Tensor::Shape codes{q.rows, code_columns(q.codes.dtype(), q.cols)};
  const Tensor::Shape scales{ceil_div(q.rows, q.tiling.rows), ceil_div(q.cols, q.tiling.cols)};
  if (q.codes.shape() != codes || q.scales.shape() != scales) {
    throw ShapeError(concat("dequantize: got codes ", shape_text(q.codes.shape()), " and scales ",
                            shape_text(q.scales.shape()), ", want ", shape_text(codes), " and ",
                            shape_text(scales)));
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

void dequantize_column_tiles(Context& ctx, View<float, 2> x, View<const f8e4m3, 2> codes,
                             View<const float, 2> scales) {
  expect_shape(x, codes.shape(), "dequantize columns x");
  expect_shape(scales, {ceil_div(x.dim(0), kFp8Tile), x.dim(1)}, "dequantize columns scales");
  switch (ctx.device) {
    case Device::kReference:
      return reference::dequantize_columns(x, codes, scales);
    case Device::kCpu:
      return cpu::dequantize_columns(ctx.pool, x, codes, scales);
    case Device::kCuda:
      return cuda::dequantize_columns(*ctx.stream, x, codes, scales);
  }
}

void dequantize(Context& ctx, View<float, 2> x, const Quantized& codes) {
  expect_shape(x, {codes.rows, codes.cols}, "dequantize x");
  check_codes(codes);
  if (codes.tiling == kColumnTiles) {
    return dequantize_column_tiles(ctx, x, codes.codes.view<f8e4m3, 2>(), codes.scales.mat());
  }
  const WeightView view(codes);
  switch (ctx.device) {
    case Device::kReference:
      return reference::dequantize(x, view);
    case Device::kCpu:
      return cpu::dequantize(ctx.pool, x, view);
    case Device::kCuda:
      return cuda::dequantize(*ctx.stream, x, view);
  }
}

Tensor dequantized(Context& ctx, const Quantized& codes) {
  Tensor x = ctx.empty({codes.rows, codes.cols});
  dequantize(ctx, x.mat(), codes);
  return x;
}

}  // namespace hadal
