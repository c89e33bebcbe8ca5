#include "hadal/kernels/convert.h"

#include <algorithm>
#include <type_traits>

#include "hadal/core/error.h"

namespace hadal::reference {
namespace {

template <class To, class From>
To converted(From value) {
  if constexpr (std::is_same_v<To, From>) {
    return value;  // not by way of f32, which would make a signalling NaN a quiet one
  } else if constexpr (std::is_same_v<From, float>) {
    if constexpr (std::is_same_v<To, bf16>) return to_bf16(value);
    if constexpr (std::is_same_v<To, f16>) return to_f16(value);
  } else if constexpr (std::is_same_v<To, float>) {
    return to_float(value);
  } else {
    return converted<To>(to_float(value));  // widening is exact: rounded once
  }
}

template <class To, class From>
void convert_span(std::span<To> to, std::span<const From> from) {
  std::ranges::transform(from, to.begin(), converted<To, From>);
}

template <class To>
void convert_to(std::span<To> to, const Tensor& from, size_t begin) {
  switch (from.dtype()) {
    case DType::kF32:
      return convert_span(to, from.flat<float>().subspan(begin, to.size()));
    case DType::kBF16:
      return convert_span(to, from.flat<bf16>().subspan(begin, to.size()));
    case DType::kF16:
      return convert_span(to, from.flat<f16>().subspan(begin, to.size()));
    default:
      throw ShapeError(concat("convert from: ", dtype_name(from.dtype())));
  }
}

}  // namespace

void convert_range(Tensor& to, const Tensor& from, int64_t begin, int64_t end) {
  const auto first = static_cast<size_t>(begin), n = static_cast<size_t>(end - begin);
  switch (to.dtype()) {
    case DType::kF32:
      return convert_to(to.flat<float>().subspan(first, n), from, first);
    case DType::kBF16:
      return convert_to(to.flat<bf16>().subspan(first, n), from, first);
    case DType::kF16:
      return convert_to(to.flat<f16>().subspan(first, n), from, first);
    default:
      throw ShapeError(concat("convert to: ", dtype_name(to.dtype())));
  }
}

void convert(Tensor& to, const Tensor& from) { convert_range(to, from, 0, from.size()); }

}  // namespace hadal::reference
