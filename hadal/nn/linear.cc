#include "hadal/nn/linear.h"

#include <array>

#include "hadal/core/checked_math.h"
#include "hadal/ops/convert.h"
#include "hadal/ops/copy.h"
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

Tensor rounded_to_bf16(Context& ctx, const Tensor& x) {
  Tensor narrow = ctx.empty({x.dim(0), x.dim(1)}, DType::kBF16);
  convert(ctx, narrow, x);
  Tensor result = ctx.empty({x.dim(0), x.dim(1)});
  convert(ctx, result, narrow);
  return result;
}

}  // namespace

LinearInput::LinearInput(Context& ctx, const Tensor& x, Precision precision) {
  switch (precision) {
    case Precision::kF32:
      rows_ = x.share();
      return;
    case Precision::kBf16Input:
      rows_ = rounded_to_bf16(ctx, x);
      is_bf16_ = true;
      return;
    case Precision::kFp8Input:
    case Precision::kFp8InputPowerOfTwo:
      rows_ = rounded_to_tiles(ctx, x.mat(), precision);
      return;
  }
}

LinearInput LinearInput::share() const {
  LinearInput result;
  result.is_bf16_ = is_bf16_;
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

Tensor Linear::forward(Products& products, const LinearInput& x) const {
  const View<const float, 2> rows = products.keep(x.f32(products.ctx));
  Tensor y = products.ctx.empty({rows.dim(0), d_out()});
  products.forward.push_back({y.mat(), rows, weight.weight(), 0.0F, x.is_bf16()});
  return y;
}

Tensor Linear::forward(Context& ctx, const LinearInput& x) const {
  Products products{ctx};
  Tensor y = forward(products, x);
  products.run();
  return y;
}

void Linear::forward_rows(Context& ctx, View<float, 2> y, View<const float, 2> x) const {
  if (precision == Precision::kF32) return gemm_nt(ctx, y, x, weight.weight());
  Tensor rows = ctx.empty({x.dim(0), x.dim(1)});
  copy_rows(ctx, rows.mat(), x);
  const LinearInput rounded = input(ctx, rows);
  const Tensor values = rounded.f32(ctx);
  gemm_nt(ctx, std::array{Product{y, values.mat(), weight.weight(), 0.0F, rounded.is_bf16()}});
}

Tensor Linear::backward_input(Products& products, Tensor dy, Saved& saved) const {
  Tensor dx = products.ctx.empty({dy.dim(0), d_in()});
  products.input_gradients.push_back({dx.mat(), products.keep(dy), weight.weight()});
  saved.dy = std::move(dy);
  return dx;
}

Tensor Linear::backward_input(Context& ctx, Tensor dy, Saved& saved) const {
  Products products{ctx};
  Tensor dx = backward_input(products, std::move(dy), saved);
  products.run();
  return dx;
}

void Linear::backward_input_add(Products& products, Tensor& dx, Tensor dy, Saved& saved) const {
  products.input_gradients.push_back({dx.mat(), products.keep(dy), weight.weight(), 1.0F});
  saved.dy = std::move(dy);
}

void Linear::backward_input_add(Context& ctx, Tensor& dx, Tensor dy, Saved& saved) const {
  Products products{ctx};
  backward_input_add(products, dx, std::move(dy), saved);
  products.run();
}

void Linear::backward_weight(Products& products, Saved&& saved) {
  const Saved consumed = std::move(saved);
  products.weight_gradients.push_back(
      {weight.grad.mat(), products.keep(consumed.dy), products.keep(consumed.x.f32(products.ctx))});
}

}  // namespace hadal
