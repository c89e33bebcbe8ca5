#include "hadal/nn/linear.h"

#include "hadal/core/checked_math.h"
#include "hadal/ops/gemm.h"
#include "hadal/ops/quantize.h"

namespace hadal {
namespace {

Quantized rounded_to_tiles(Context& ctx, View<const float, 2> x, Precision precision) {
  const int64_t n_rows = x.dim(0), width = x.dim(1);
  Quantized result{ctx.empty({n_rows, width}, DType::kF8E4M3),
                   ctx.empty({n_rows, ceil_div(width, kFp8Tile)}), kRowTiles, n_rows, width};
  const TileOptions options{.power_of_two = precision == Precision::kFp8InputPowerOfTwo};
  quantize_tiles(ctx, result.codes.view<f8e4m3, 2>(), result.scales.mat(), x, options);
  return result;
}

}  // namespace

LinearInput::LinearInput(Context& ctx, const Tensor& x, Precision precision) {
  switch (precision) {
    case Precision::kF32:
      rows_ = x.share();
      return;
    case Precision::kFp8Input:
    case Precision::kFp8InputPowerOfTwo:
      rows_ = rounded_to_tiles(ctx, x.mat(), precision);
      return;
  }
}

LinearInput LinearInput::share() const {
  LinearInput result;
  if (const auto* plain = std::get_if<Tensor>(&rows_)) result.rows_ = plain->share();
  if (const auto* codes = std::get_if<Quantized>(&rows_)) result.rows_ = codes->share();
  return result;
}

Tensor LinearInput::f32(Context& ctx) const {
  if (const auto* codes = std::get_if<Quantized>(&rows_)) return dequantized(ctx, *codes);
  return std::get<Tensor>(rows_).share();
}

int64_t LinearInput::bytes() const {
  if (const auto* codes = std::get_if<Quantized>(&rows_)) return codes->bytes();
  return has_data() ? std::get<Tensor>(rows_).bytes() : 0;
}

Tensor Linear::forward(Context& ctx, const LinearInput& x) const {
  const Tensor rows = x.f32(ctx);
  Tensor y = ctx.empty({rows.dim(0), d_out()});
  gemm_nt(ctx, y.mat(), rows.mat(), weight.weight());
  return y;
}

void Linear::forward_rows(Context& ctx, View<float, 2> y, View<const float, 2> x) const {
  if (precision == Precision::kF32) {
    gemm_nt(ctx, y, x, weight.weight());
  } else {
    const Tensor rows = dequantized(ctx, rounded_to_tiles(ctx, x, precision));
    gemm_nt(ctx, y, rows.mat(), weight.weight());
  }
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
  gemm_tn(ctx, weight.grad.mat(), consumed.dy.mat(), std::as_const(consumed).x.f32(ctx).mat());
}

}  // namespace hadal
