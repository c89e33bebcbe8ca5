#include "hadal/nn/kept_rows.h"

#include "hadal/core/checked_math.h"
#include "hadal/ops/convert.h"

namespace hadal {
namespace {

Tensor converted(Context& ctx, const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return x.share();
  Tensor result = ctx.empty(x.shape(), dtype);
  convert(ctx, result, x);
  return result;
}

// Powers of two wait in BF16, which holds those from 2^-133 on exactly.
template <class Codes>
Codes with_scales_in(Context& ctx, const Codes& rows, DType dtype) {
  Codes result = rows.share();
  result.scales = converted(ctx, rows.scales, dtype);
  return result;
}

}  // namespace

KeptRows KeptRows::as_is(const Tensor& x, bool is_bf16) {
  KeptRows result;
  result.rows_ = x.share();
  result.is_bf16_ = is_bf16;
  return result;
}

KeptRows KeptRows::bf16_of(Context& ctx, const Tensor& x) {
  KeptRows result;
  result.rows_ = converted(ctx, x, DType::kBF16);
  result.is_bf16_ = true;
  return result;
}

KeptRows KeptRows::fp8_of(Context& ctx, const Tensor& x, const TileOptions& options) {
  const int64_t n_rows = x.dim(0), width = x.dim(1);
  Quantized tiles{ctx.empty({n_rows, width}, DType::kF8E4M3),
                  ctx.empty({n_rows, ceil_div(width, kFp8Tile)}), kRowTiles, n_rows, width};
  quantize_tiles(ctx, tiles.codes.view<f8e4m3, 2>(), tiles.scales.mat(), x.mat(), options);
  KeptRows result;
  result.rows_ = options.power_of_two ? with_scales_in(ctx, tiles, DType::kBF16) : std::move(tiles);
  result.is_bf16_ = options.power_of_two;
  return result;
}

KeptRows KeptRows::e5m6_of(Context& ctx, const Tensor& x) {
  KeptRows result;
  result.rows_ = with_scales_in(ctx, quantized_e5m6(ctx, x.mat()), DType::kBF16);
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
  const auto widened = [&](const auto& codes) {
    return dequantized(ctx, with_scales_in(ctx, codes, DType::kF32));
  };
  if (const auto* codes = std::get_if<Quantized>(&rows_)) return widened(*codes);
  if (const auto* e5m6 = std::get_if<E5m6Rows>(&rows_)) return widened(*e5m6);
  return converted(ctx, std::get<Tensor>(rows_), DType::kF32);
}

int64_t KeptRows::bytes() const {
  if (const auto* codes = std::get_if<Quantized>(&rows_)) return codes->bytes();
  if (const auto* e5m6 = std::get_if<E5m6Rows>(&rows_)) return e5m6->bytes();
  return has_data() ? std::get<Tensor>(rows_).bytes() : 0;
}

std::vector<Tensor> KeptRows::parts() const {
  std::vector<Tensor> result;
  const auto add = [&](const Tensor& part) { result.push_back(part.share()); };
  if (const auto* plain = std::get_if<Tensor>(&rows_)) add(*plain);
  const auto add_coded = [&](const auto& codes) {
    add(codes.codes);
    add(codes.scales);
  };
  if (const auto* codes = std::get_if<Quantized>(&rows_)) add_coded(*codes);
  if (const auto* e5m6 = std::get_if<E5m6Rows>(&rows_)) add_coded(*e5m6);
  return result;
}

KeptRows KeptRows::empty_as(Context& ctx, int64_t n_rows) const {
  KeptRows result = share();
  const auto renew = [&](Tensor& part) { part = ctx.empty({n_rows, part.dim(1)}, part.dtype()); };
  const auto renew_coded = [&](auto& codes) {
    renew(codes.codes);
    renew(codes.scales);
  };
  if (auto* plain = std::get_if<Tensor>(&result.rows_)) renew(*plain);
  if (auto* e5m6 = std::get_if<E5m6Rows>(&result.rows_)) renew_coded(*e5m6);
  if (auto* codes = std::get_if<Quantized>(&result.rows_)) {
    renew_coded(*codes);
    codes->rows = n_rows;
  }
  return result;
}

const void* KeptRows::id() const {
  if (const auto* codes = std::get_if<Quantized>(&rows_)) return codes->codes.raw();
  if (const auto* e5m6 = std::get_if<E5m6Rows>(&rows_)) return e5m6->codes.raw();
  return has_data() ? std::get<Tensor>(rows_).raw() : nullptr;
}

}  // namespace hadal
