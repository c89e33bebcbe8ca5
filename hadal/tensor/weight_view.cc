#include "hadal/tensor/weight_view.h"

namespace hadal {
int64_t bits_per_value(WeightForm form) {
  switch (form) {
    case WeightForm::kF32:
      return 32;
    case WeightForm::kBF16:
    case WeightForm::kF16:
      return 16;
    case WeightForm::kFp8:
    case WeightForm::kQ8:
      return 8;
    case WeightForm::kQ4:
      return 4;
  }
  throw ShapeError("weight: unknown form");
}

std::string_view form_name(WeightForm form) {
  switch (form) {
    case WeightForm::kF32:
      return "F32";
    case WeightForm::kBF16:
      return "BF16";
    case WeightForm::kF16:
      return "F16";
    case WeightForm::kFp8:
      return "FP8";
    case WeightForm::kQ8:
      return "Q8";
    case WeightForm::kQ4:
      return "Q4";
  }
  throw ShapeError("weight: unknown form");
}

WeightForm form_of_codes(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return WeightForm::kF32;
    case DType::kBF16:
      return WeightForm::kBF16;
    case DType::kF16:
      return WeightForm::kF16;
    case DType::kF8E4M3:
      return WeightForm::kFp8;
    case DType::kI8:
      return WeightForm::kQ8;
    case DType::kU8:
      return WeightForm::kQ4;
    default:
      throw ShapeError(concat("weight: no form has codes of type ", dtype_name(dtype)));
  }
}

WeightView::WeightView(const Tensor& plain)
    : form(form_of_codes(plain.dtype())),
      data(plain.raw()),
      rows(plain.dim(0)),
      cols(plain.dim(1)),
      row_stride(plain.dim(1)) {
  if (!is_plain(form)) {
    throw ShapeError(
        concat("weight: codes of type ", dtype_name(plain.dtype()), " without scales"));
  }
}

WeightView::WeightView(const Quantized& w)
    : form(form_of_codes(w.codes.dtype())),
      data(w.codes.raw()),
      rows(w.rows),
      cols(w.cols),
      row_stride(w.codes.dim(1)),
      scales{w.scales.raw(), w.scales.dim(1), w.tiling} {
  const DType want = form == WeightForm::kFp8 ? DType::kF32 : DType::kBF16;
  if (is_plain(form) || w.scales.dtype() != want) {
    throw ShapeError(
        concat("weight: ", form_name(form), " with scales of type ", dtype_name(w.scales.dtype())));
  }
}

View<const float, 2> WeightView::f32() const {
  if (form != WeightForm::kF32) {
    throw ShapeError(concat("weight: stored as ", form_name(form), ", want F32"));
  }
  return {static_cast<const float*>(data), {rows, cols}, {row_stride, 1}};
}

WeightView WeightView::row_range(int64_t begin, int64_t end) const {
  WeightView result = *this;
  const int64_t bits_each = form == WeightForm::kQ4 ? 8 : bits_per_value(form);  // codes in pairs
  result.data = static_cast<const char*>(data) + begin * row_stride * bits_each / 8;
  result.rows = end - begin;
  result.scales.row0 += begin;
  return result;
}

WeightView WeightView::column_range(int64_t begin, int64_t end) const {
  WeightView result = *this;
  result.data = static_cast<const char*>(data) + begin * bits_per_value(form) / 8;
  result.cols = end - begin;
  result.scales.col0 += begin;
  return result;
}

}  // namespace hadal
