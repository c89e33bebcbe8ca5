#include "hadal/nn/linear_input.h"

#include <array>

namespace hadal {

KeptRows LinearPrecision::kept_stream(Context& ctx, const Tensor& x) const {
  if (trains_in_bf16(products) || trains_in_fp8(products)) return KeptRows::bf16_of(ctx, x);
  return KeptRows::as_is(x);
}

KeptRows LinearPrecision::kept_swiglu_input(Context& ctx, const Tensor& x) const {
  if (trains_in_bf16(products)) return KeptRows::bf16_of(ctx, x);
  if (trains_in_fp8(products)) return KeptRows::fp8_of(ctx, x, training_tiles(products));
  return KeptRows::as_is(x);
}

KeptRows LinearPrecision::kept_attention_output(Context& ctx, const Tensor& o,
                                                const KeptRows& rounded) const {
  if (trains_in_fp8(products)) return KeptRows::e5m6_of(ctx, o);
  return trains_in_bf16(products) ? rounded.share() : KeptRows::as_is(o);
}

KeptRows LinearPrecision::rounded_input(Context& ctx, const Tensor& x) const {
  switch (products) {
    case Precision::kF32:
      return KeptRows::as_is(x);
    case Precision::kBf16Input:
    case Precision::kBf16:
      return KeptRows::bf16_of(ctx, x);
    case Precision::kFp8Input:
    case Precision::kFp8InputPowerOfTwo:
      return KeptRows::fp8_of(ctx, x, {.power_of_two = products == Precision::kFp8InputPowerOfTwo});
    case Precision::kFp8:
    case Precision::kFp8F32Scales:
      return KeptRows::fp8_of(ctx, x, training_tiles(products));
  }
  return {};
}

KeptRows LinearPrecision::rounded_gradient(Context& ctx, const Tensor& dy) const {
  if (trains_in_bf16(products) || trains_in_fp8(products)) return rounded_input(ctx, dy);
  return KeptRows::as_is(dy);
}

LinearInput LinearInput::of_groups(Context& ctx, KeptRows rows, const Tensor& high,
                                   LinearPrecision precision, std::span<const int64_t> offsets) {
  LinearInput result(std::move(rows));
  if (precision.quantises_columns()) {
    result.columns_ =
        quantized_column_groups(ctx, high.mat(), offsets, training_tiles(precision.products));
  }
  return result;
}

LinearInput::LinearInput(Context& ctx, const Tensor& x, LinearPrecision precision)
    : LinearInput(of_groups(ctx, precision.rounded_input(ctx, x), x, precision,
                            std::array{int64_t{0}, x.dim(0)})) {}

LinearInput LinearInput::gradient(Context& ctx, const Tensor& dy, LinearPrecision precision) {
  return of_groups(ctx, precision.rounded_gradient(ctx, dy), dy, precision,
                   std::array{int64_t{0}, dy.dim(0)});
}

LinearInput LinearInput::share() const {
  LinearInput result(rows_.share());
  if (columns_.has_data()) result.columns_ = columns_.share();
  return result;
}

LinearInput LinearInput::for_weight_gradient() const {
  LinearInput result = share();
  if (result.columns_.has_data()) result.rows_ = {};
  return result;
}

Tensor LinearInput::weight_gradient_operand(Context& ctx, Precision precision,
                                            std::span<const int64_t> offsets) const {
  if (columns_.has_data()) return dequantized(ctx, columns_);
  Tensor rows = rows_.f32(ctx);
  if (!trains_in_fp8(precision)) return rows;
  const std::array one_group{int64_t{0}, rows.dim(0)};
  Tensor cut = dequantized(ctx, quantized_column_groups(ctx, std::as_const(rows).mat(),
                                                        offsets.empty() ? one_group : offsets,
                                                        training_tiles(precision)));
  if (ctx.probe != nullptr && rows_.is_fp8()) {
    ctx.probe->offer("retile.before", -1, rows);
    ctx.probe->offer("retile.after", -1, cut);
  }
  return cut;
}

bool LinearInput::weight_gradient_is_bf16(Precision precision) const {
  return trains_in_fp8(precision) ? rounds_gradient_to_bf16(precision) : rows_.is_bf16();
}

const void* LinearInput::id() const {
  return columns_.has_data() ? columns_.codes.raw() : rows_.id();
}

}  // namespace hadal
