#include "hadal/reproduce/fp8_tiles.h"

#include "hadal/ops/quantize.h"

namespace hadal {

Quantized e4m3_tiles(Context& ctx, const Tensor& x, Tiling tiling, bool power_of_two,
                     bool amax_floor) {
  const int64_t n = x.dim(0), k = x.dim(1);
  Quantized q{ctx.empty({n, k}, DType::kF8E4M3),
              ctx.empty({ceil_div(n, tiling.rows), ceil_div(k, tiling.cols)}), tiling, n, k};
  const View<f8e4m3, 2> codes = q.codes.view<f8e4m3, 2>();
  const TileOptions options{.power_of_two = power_of_two, .amax_floor = amax_floor};
  if (tiling == kRowTiles) {
    quantize_tiles(ctx, codes, q.scales.mat(), x.mat(), options);
  } else if (tiling == kColumnTiles) {
    quantize_column_tiles(ctx, codes, q.scales.mat(), x.mat(), options);
  } else {
    quantize_blocks(ctx, codes, q.scales.mat(), x.mat(), power_of_two);
  }
  return q;
}

Tensor through_e4m3(Context& ctx, const Tensor& x, Tiling tiling, bool power_of_two) {
  return dequantized(ctx, e4m3_tiles(ctx, x, tiling, power_of_two));
}

}  // namespace hadal
