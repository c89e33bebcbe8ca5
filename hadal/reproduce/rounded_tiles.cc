#include "hadal/reproduce/rounded_tiles.h"

#include <algorithm>
#include <cmath>

namespace hadal {
namespace {

struct ErrorSums {
  double error = 0, size = 0;
  void add(std::span<const float> a, std::span<const float> b) {
    for (size_t i = 0; i < a.size(); ++i) {
      const double difference = double{a[i]} - double{b[i]};
      error += difference * difference;
      size += double{b[i]} * double{b[i]};
    }
  }
};

}  // namespace

double rounded_to(double value, const FloatFormat& format) {
  if (value == 0.0) return 0.0;
  const int exponent = std::max(std::ilogb(value), format.lowest_exponent);
  const double spacing = std::ldexp(1.0, exponent - format.mantissa_bits);
  const double rounded = std::nearbyint(value / spacing) * spacing;  // ties to even
  return std::clamp(rounded, -format.largest, format.largest);
}

Tensor rounded_in_tiles(Context& ctx, const Tensor& x, Tiling tiling, const FloatFormat& format) {
  const Tensor x_here = x.to_host();
  const View<const float, 2> from = x_here.mat();
  std::vector<float> values(static_cast<size_t>(x.size()));
  const View<float, 2> to(values.data(), from.shape());
  for (int64_t t0 = 0; t0 < from.dim(0); t0 += tiling.rows) {
    const int64_t t1 = std::min(t0 + tiling.rows, from.dim(0));
    for (int64_t k0 = 0; k0 < from.dim(1); k0 += tiling.cols) {
      const int64_t k1 = std::min(k0 + tiling.cols, from.dim(1));
      float amax = 0.0F;
      for (int64_t t = t0; t < t1; ++t) {
        for (int64_t k = k0; k < k1; ++k) amax = std::max(amax, std::abs(from(t, k)));
      }
      const float scale = amax > 0.0F ? amax / static_cast<float>(format.largest) : 1.0F;
      for (int64_t t = t0; t < t1; ++t) {
        for (int64_t k = k0; k < k1; ++k) {
          const float code = static_cast<float>(rounded_to(double{from(t, k) / scale}, format));
          to(t, k) = code * scale;
        }
      }
    }
  }
  Tensor result = ctx.empty(x.shape());
  result.read_from(values.data());
  return result;
}

double relative_error(const Tensor& a, const Tensor& b) {
  const Tensor a_here = a.to_host(), b_here = b.to_host();
  ErrorSums sums;
  sums.add(a_here.flat<float>(), b_here.flat<float>());
  return sums.size > 0.0 ? std::sqrt(sums.error / sums.size) : 0.0;
}

std::vector<double> relative_row_errors(const Tensor& a, const Tensor& b) {
  const Tensor a_here = a.to_host(), b_here = b.to_host();
  std::vector<double> errors;
  for (int64_t t = 0; t < b.dim(0); ++t) {
    ErrorSums sums;
    sums.add(a_here.mat().row(t), b_here.mat().row(t));
    errors.push_back(sums.size > 0.0 ? std::sqrt(sums.error / sums.size) : -1.0);
  }
  return errors;
}

}  // namespace hadal
