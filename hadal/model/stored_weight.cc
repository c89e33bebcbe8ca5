#include "hadal/model/stored_weight.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "hadal/core/checked_math.h"
#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/model/hf_names.h"
#include "hadal/ops/convert.h"
#include "hadal/ops/quantize.h"
#include "hadal/ops/quantize_q8_q4.h"

namespace hadal {
namespace {

std::string describe(const TensorInfo& info) {
  return concat(dtype_name(info.dtype), " ", shape_text(info.shape));
}

std::string place(const TensorSource::Entry& entry) {
  return concat(entry.file->path(), ": tensor ", in_quotes(entry.info->name));
}

// F32 of scales that are stored as their exponents alone: 2^(code - 127), and NaN for 255.
Tensor powers_of_two(const Tensor& exponents) {
  const auto* codes = static_cast<const uint8_t*>(exponents.raw());
  const auto n = static_cast<size_t>(exponents.size());
  const std::shared_ptr<float[]> scales(new float[std::max<size_t>(n, 1)]);
  for (size_t i = 0; i < n; ++i) {
    scales[i] = codes[i] == 255 ? std::numeric_limits<float>::quiet_NaN()
                                : std::ldexp(1.0F, int{codes[i]} - 127);
  }
  return Tensor::borrowed(DType::kF32, exponents.shape(), scales.get(), scales);
}

// The scales of `weight`, which must be there with exactly this type and shape, or as exponents of F32.
Tensor find_scales(const TensorSource& source, const TensorSource::Entry& weight,
                   const std::string& scale_name, DType dtype, const Tensor::Shape& shape) {
  const auto* entry = source.find(scale_name);
  const bool exponents = entry && dtype == DType::kF32 && entry->info->dtype == DType::kF8E8M0;
  if (exponents && entry->info->shape == shape) return source.tensor(*entry);
  if (!entry) {
    throw FormatError(concat(place(weight), ": ", dtype_name(weight.info->dtype),
                             " without its scales (expected ", in_quotes(scale_name), " ",
                             dtype_name(dtype), " ", shape_text(shape), ")"));
  }
  if (entry->info->dtype != dtype || entry->info->shape != shape) {
    throw FormatError(concat(place(*entry), ": wrong scales (found ", describe(*entry->info),
                             ", expected ", dtype_name(dtype), " ", shape_text(shape), ")"));
  }
  return source.tensor(*entry);
}

bool all_finite(const Tensor& scales) {
  if (scales.dtype() == DType::kBF16) {
    for (const bf16 scale : scales.flat<bf16>()) {
      if (!std::isfinite(to_float(scale))) return false;
    }
    return true;
  }
  for (const float scale : scales.flat<float>()) {
    if (!std::isfinite(scale)) return false;
  }
  return true;
}

}  // namespace

StoredWeight find_stored(const TensorSource& source, const NamedParam& param) {
  const auto* entry = source.find(param.name);
  if (!entry) {
    throw FormatError(concat(source.path(), ": tensor ", in_quotes(param.name),
                             " is missing (expected ", shape_text(param.shape),
                             "); the checkpoint is incomplete or config.json is another model's"));
  }
  StoredWeight result{.name = param.name, .shape = param.shape, .where = place(*entry)};
  const TensorInfo& info = *entry->info;
  const bool matrix = param.kind == ParamKind::kMatrix;
  Tensor::Shape shape = param.shape;
  switch (info.dtype) {
    case DType::kF32:
      result.form = WeightForm::kF32;
      break;
    case DType::kBF16:
      result.form = WeightForm::kBF16;
      break;
    case DType::kF16:
      result.form = WeightForm::kF16;
      break;
    case DType::kF8E4M3:
      result.form = WeightForm::kFp8;
      break;
    case DType::kI8:
      result.form = WeightForm::kQ8;
      break;
    case DType::kU8:
      result.form = WeightForm::kQ4;
      if (matrix) shape[1] = code_columns(info.dtype, shape[1]);
      break;
    default:
      shape.clear();  // matches nothing
  }
  const bool plain = is_plain(result.form);
  if (info.shape != shape || (!plain && !matrix)) {
    throw FormatError(concat(result.where, ": wrong type or shape (found ", describe(info),
                             ", expected ",
                             matrix ? "F32, BF16, F16 or F8_E4M3 " : "F32, BF16 or F16 ",
                             shape_text(param.shape), "); config.json is another model's"));
  }
  Tensor values = source.tensor(*entry);
  if (plain) {
    result.data = std::move(values);
    return result;
  }
  const int64_t rows = param.shape[0], cols = param.shape[1];
  Quantized codes{std::move(values), {}, {}, rows, cols};
  if (result.form == WeightForm::kFp8) {
    codes.tiling = kWeightBlocks;
    codes.scales = find_scales(source, *entry, hf_scale_name(param.name), DType::kF32,
                               {ceil_div(rows, kFp8Tile), ceil_div(cols, kFp8Tile)});
  } else {
    codes.tiling = kQuantBlocks;
    codes.scales = find_scales(source, *entry, quant_scale_name(param.name), DType::kBF16,
                               {rows, ceil_div(cols, kQuantBlock)});
  }
  result.data = std::move(codes);
  return result;
}

void read_scales(StoredWeight& stored) {
  auto* codes = std::get_if<Quantized>(&stored.data);
  if (codes == nullptr) return;
  if (codes->scales.dtype() == DType::kF8E8M0) codes->scales = powers_of_two(codes->scales);
  if (!all_finite(codes->scales)) {
    throw FormatError(concat(stored.where, ": a scale is not finite; the file is damaged"));
  }
}

int64_t StoredWeight::bytes() const {
  if (const auto* codes = std::get_if<Quantized>(&data)) return codes->bytes();
  return std::get<Tensor>(data).bytes();
}

std::vector<std::string> stored_names(const StoredWeight& stored) {
  switch (stored.form) {
    case WeightForm::kFp8:
      return {stored.name, hf_scale_name(stored.name)};
    case WeightForm::kQ8:
    case WeightForm::kQ4:
      return {stored.name, quant_scale_name(stored.name)};
    case WeightForm::kF32:
    case WeightForm::kBF16:
    case WeightForm::kF16:
      break;
  }
  return {stored.name};
}

Tensor widened(Context& ctx, const Tensor& values) {
  if (values.dtype() == DType::kF32) return values.share();
  Tensor result = ctx.empty(values.shape());
  convert(ctx, result, values);
  return result;
}

StoredWeight placed(const StoredWeight& stored, Arena& arena) {
  StoredWeight result{
      .name = stored.name, .shape = stored.shape, .where = stored.where, .form = stored.form};
  if (const auto* codes = std::get_if<Quantized>(&stored.data)) {
    result.data = Quantized{codes->codes.placed_in(arena), codes->scales.placed_in(arena),
                            codes->tiling, codes->rows, codes->cols};
  } else {
    result.data = std::get<Tensor>(stored.data).placed_in(arena);
  }
  return result;
}

Tensor read_f32(Context& ctx, const StoredWeight& stored) {
  if (const auto* codes = std::get_if<Quantized>(&stored.data)) return dequantized(ctx, *codes);
  const Tensor& plain = std::get<Tensor>(stored.data);
  return plain.dtype() == DType::kF32 ? plain.clone(ctx.arena) : widened(ctx, plain);
}

Tensor param_values(Context& ctx, const Param& param) {
  // In training the working form is a rounded copy of the master.
  if (param.master.has_data()) return param.master.share();
  if (const auto* codes = std::get_if<Quantized>(&param.working)) return dequantized(ctx, *codes);
  return widened(ctx, std::get<Tensor>(param.working));
}

void use_as_stored(Param& param, const StoredWeight& stored) {
  if (const auto* codes = std::get_if<Quantized>(&stored.data)) {
    param.working = codes->share();
  } else if (const Tensor& plain = std::get<Tensor>(stored.data); plain.dtype() == DType::kF32) {
    param.master = plain.share();
  } else {
    param.working = plain.share();
  }
}

std::vector<Tensor> stored_tensors(const StoredWeight& stored) {
  std::vector<Tensor> result;
  if (const auto* codes = std::get_if<Quantized>(&stored.data)) {
    result.push_back(codes->codes.share());
    result.push_back(codes->scales.share());
  } else {
    result.push_back(std::get<Tensor>(stored.data).share());
  }
  return result;
}

WeightForm form_for(const NamedParam& param, WeightForm checkpoint_form) {
  if (param.kind == ParamKind::kRouteBias) return WeightForm::kF32;
  if (is_plain(checkpoint_form)) return checkpoint_form;
  const bool quantised = param.kind == ParamKind::kMatrix && hf_is_quantised(param.name);
  return quantised ? checkpoint_form : WeightForm::kBF16;
}

WeightForm StoredForms::of(const NamedParam& param) const {
  const auto found = mixed.find(hf_class_of(param.name));
  return found != mixed.end() ? found->second : form_for(param, projections);
}

StoredForms usual_forms(WeightForm projections) {
  StoredForms forms{.projections = projections};
  if (projections != WeightForm::kQ4) return forms;
  for (const auto each : {WeightClass::kAttention, WeightClass::kDense, WeightClass::kShared}) {
    forms.mixed[each] = WeightForm::kQ8;
  }
  return forms;
}

std::vector<TensorInfo> declare(const std::string& name, const Tensor::Shape& shape,
                                WeightForm form) {
  const auto info = [](const std::string& tensor, DType dtype, Tensor::Shape extents) {
    return TensorInfo{.name = tensor, .dtype = dtype, .shape = std::move(extents)};
  };
  switch (form) {
    case WeightForm::kF32:
      return {info(name, DType::kF32, shape)};
    case WeightForm::kBF16:
      return {info(name, DType::kBF16, shape)};
    case WeightForm::kF16:
      return {info(name, DType::kF16, shape)};
    default:
      break;
  }
  const int64_t rows = shape[0], cols = shape[1];
  if (form == WeightForm::kFp8) {
    return {info(name, DType::kF8E4M3, shape),
            info(hf_scale_name(name), DType::kF32,
                 {ceil_div(rows, kFp8Tile), ceil_div(cols, kFp8Tile)})};
  }
  const DType codes = form == WeightForm::kQ8 ? DType::kI8 : DType::kU8;
  return {info(name, codes, {rows, code_columns(codes, cols)}),
          info(quant_scale_name(name), DType::kBF16, {rows, ceil_div(cols, kQuantBlock)})};
}

std::vector<Tensor> encode(Context& ctx, const Tensor& values, WeightForm form,
                           bool power_of_two_scales) {
  std::vector<Tensor> result;
  switch (form) {
    case WeightForm::kF32:
      result.push_back(values.share());
      break;
    case WeightForm::kBF16:
      result.push_back(ctx.empty(values.shape(), DType::kBF16));
      convert(ctx, result[0], values);
      break;
    case WeightForm::kF16:
      result.push_back(ctx.empty(values.shape(), DType::kF16));
      convert(ctx, result[0], values);
      break;
    case WeightForm::kFp8:
      result.push_back(ctx.empty(values.shape(), DType::kF8E4M3));
      result.push_back(
          ctx.empty({ceil_div(values.dim(0), kFp8Tile), ceil_div(values.dim(1), kFp8Tile)}));
      quantize_blocks(ctx, result[0].view<f8e4m3, 2>(), result[1].mat(), values.mat(),
                      power_of_two_scales);
      break;
    case WeightForm::kQ8:
    case WeightForm::kQ4: {
      Quantized blocks =
          form == WeightForm::kQ8 ? quantize_q8(ctx, values.mat()) : quantize_q4(ctx, values.mat());
      result.push_back(std::move(blocks.codes));
      result.push_back(std::move(blocks.scales));
    }
  }
  return result;
}

}  // namespace hadal
