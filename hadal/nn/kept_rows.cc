#include "hadal/nn/kept_rows.h"

#include "hadal/core/checked_math.h"
#include "hadal/ops/convert.h"

namespace hadal {

KeptRows KeptRows::as_is(const Tensor& x, bool is_bf16) {
  KeptRows result;
  result.rows_ = x.share();
  result.is_bf16_ = is_bf16;
  return result;
}

KeptRows KeptRows::bf16_of(Context& ctx, const Tensor& x) {
  KeptRows result;
  Tensor narrow = ctx.empty(x.shape(), DType::kBF16);
  convert(ctx, narrow, x);
  result.rows_ = std::move(narrow);
  result.is_bf16_ = true;
  return result;
}

KeptRows KeptRows::fp8_of(Context& ctx, const Tensor& x, const TileOptions& options) {
  const int64_t n_rows = x.dim(0), width = x.dim(1);
  Quantized tiles{ctx.empty({n_rows, width}, DType::kF8E4M3),
                  ctx.empty({n_rows, ceil_div(width, kFp8Tile)}), kRowTiles, n_rows, width};
  quantize_tiles(ctx, tiles.codes.view<f8e4m3, 2>(), tiles.scales.mat(), x.mat(), options);
  KeptRows result;
  result.rows_ = std::move(tiles);
  result.is_bf16_ = options.power_of_two;
  return result;
}

KeptRows KeptRows::e5m6_of(Context& ctx, const Tensor& x) {
  KeptRows result;
  result.rows_ = quantized_e5m6(ctx, x.mat());
  return result;
}

KeptRows KeptRows::share() const {
  KeptRows result;
  result.is_bf16_ = is_bf16_;
  if (const auto* plain = std::get_if<Tensor>(&rows_)) result.rows_ = plain->share();
  if (const auto* codes = std::get_if<Quantized>(&rows_)) result.rows_ = codes->share();
  if (const auto* e5m6 = std::get_if<E5m6Rows>(&rows_)) result.rows_ = e5m6->share();
  return result;
}

Tensor KeptRows::f32(Context& ctx) const {
  if (const auto* codes = std::get_if<Quantized>(&rows_)) return dequantized(ctx, *codes);
  if (const auto* e5m6 = std::get_if<E5m6Rows>(&rows_)) return dequantized(ctx, *e5m6);
  const Tensor& plain = std::get<Tensor>(rows_);
  if (plain.dtype() == DType::kF32) return plain.share();
  Tensor wide = ctx.empty(plain.shape());
  convert(ctx, wide, plain);
  return wide;
}

int64_t KeptRows::bytes() const {
  if (const auto* codes = std::get_if<Quantized>(&rows_)) return codes->bytes();
  if (const auto* e5m6 = std::get_if<E5m6Rows>(&rows_)) return e5m6->bytes();
  return has_data() ? std::get<Tensor>(rows_).bytes() : 0;
}

const void* KeptRows::id() const {
  if (const auto* codes = std::get_if<Quantized>(&rows_)) return codes->codes.raw();
  if (const auto* e5m6 = std::get_if<E5m6Rows>(&rows_)) return e5m6->codes.raw();
  return has_data() ? std::get<Tensor>(rows_).raw() : nullptr;
}

}  // namespace hadal
