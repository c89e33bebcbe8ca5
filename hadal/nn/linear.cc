#include "hadal/nn/linear.h"

#include "hadal/ops/gemm.h"
#include "hadal/ops/quantize.h"

namespace hadal {

Tensor linear_input(Context& ctx, const Tensor& x, const Param& weight) {
  if (ctx.fp8_activations == Fp8Activations::kOff || !weight.fp8) return x.share();
  const int64_t n_tokens = x.dim(0), width = x.dim(1);
  const int64_t n_tiles = (width + kFp8Tile - 1) / kFp8Tile;
  Tensor codes = ctx.empty({n_tokens, width}, DType::kF8E4M3);
  Tensor scales = ctx.empty({n_tokens, n_tiles});
  const TileOptions options{.power_of_two =
                                ctx.fp8_activations == Fp8Activations::kTilesPowerOfTwo};
  quantize_tiles(ctx, codes.view<f8e4m3, 2>(), scales.mat(), x.mat(), options);
  Tensor rounded = ctx.empty({n_tokens, width});
  dequantize_tiles(ctx, rounded.mat(), std::as_const(codes).view<f8e4m3, 2>(), scales.mat());
  return rounded;
}

Tensor Linear::forward(Context& ctx, const Tensor& x) const {
  Tensor y = ctx.empty({x.dim(0), d_out()});
  const Tensor input = linear_input(ctx, x, weight);
  gemm_nt(ctx, y.mat(), input.mat(), weight.weight());
  return y;
}

Tensor Linear::forward(Context& ctx, const Tensor& x, Saved& saved) const {
  saved.x = x.share();
  return forward(ctx, x);
}

Tensor Linear::backward_input(Context& ctx, Tensor dy, Saved& saved) const {
  Tensor dx = ctx.empty({dy.dim(0), d_in()});
  gemm_nn(ctx, dx.mat(), std::as_const(dy).mat(), weight.weight());
  saved.dy = std::move(dy);
  return dx;
}

void Linear::backward_input_add(Context& ctx, Tensor& dx, Tensor dy, Saved& saved) const {
  gemm_nn(ctx, dx.mat(), std::as_const(dy).mat(), weight.weight(), 1.0F);
  saved.dy = std::move(dy);
}

void Linear::backward_weight(Context& ctx, Saved&& saved) {
  const Saved consumed = std::move(saved);
  gemm_tn(ctx, weight.grad.mat(), consumed.dy.mat(), consumed.x.mat());
}

}  // namespace hadal
