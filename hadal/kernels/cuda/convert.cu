#include "hadal/kernels/convert.h"

#include "hadal/kernels/cuda/each.h"
#include "hadal/kernels/cuda/values.h"

namespace hadal::cuda {
namespace {

template <class To, class From>
struct Convert {
  To* to;
  const From* from;
  template <int kWidth>
  __device__ Pack<To, kWidth> at(int64_t i) const {
    const auto values = load<kWidth>(from + i);
    if constexpr (std::is_same_v<To, From>) {
      return values;  // not by way of f32, which would make a signalling NaN a quiet one
    } else {
      Pack<To, kWidth> result;
      for (int j = 0; j < kWidth; ++j) result.at[j] = rounded_to<To>(value_of(values.at[j]));
      return result;
    }
  }
  template <int kWidth>
  __device__ void store(int64_t i, const Pack<To, kWidth>& values) const {
    cuda::store(to + i, values);
  }
};

template <class To, class From>
void convert(Stream& stream, std::span<To> to, std::span<const From> from) {
  each_of_vector("convert", stream, static_cast<int64_t>(to.size()),
                 in_fours(to.data()) && in_fours(from.data()),
                 Convert<To, From>{to.data(), from.data()});
}

template <class To>
void convert_to(Stream& stream, std::span<To> to, const Tensor& from) {
  switch (from.dtype()) {
    case DType::kF32:
      return convert(stream, to, from.flat<float>());
    case DType::kBF16:
      return convert(stream, to, from.flat<bf16>());
    case DType::kF16:
      return convert(stream, to, from.flat<f16>());
    default:
      throw ShapeError(concat("convert from: ", dtype_name(from.dtype())));
  }
}

}  // namespace

void convert(Stream& stream, Tensor& to, const Tensor& from) {
  switch (to.dtype()) {
    case DType::kF32:
      return convert_to(stream, to.flat<float>(), from);
    case DType::kBF16:
      return convert_to(stream, to.flat<bf16>(), from);
    case DType::kF16:
      return convert_to(stream, to.flat<f16>(), from);
    default:
      throw ShapeError(concat("convert to: ", dtype_name(to.dtype())));
  }
}

}  // namespace hadal::cuda
