#include "hadal/kernels/gemm_fp8.h"

#include <algorithm>
#include <array>

#include "hadal/core/checked_math.h"

namespace hadal::reference {
namespace {

constexpr int64_t kGroup = 128;  // elements of the inner axis that share one product of scales

std::array<float, 256> decode_table() noexcept {
  std::array<float, 256> table{};
  for (size_t code = 0; code < table.size(); ++code) {
    table[code] = to_float(f8e4m3{static_cast<uint8_t>(code)});
  }
  return table;
}

// sum over groups g of ( sum_{k in g} a(k) b(k) ) * scale(g): products of codes are exact in f32,
// the group's sum and the sum of groups are f32 (docs/precision.md, "Products").
template <class Product, class Scale>
float sum_groups(int64_t n, const Product& product, const Scale& scale) noexcept {
  float total = 0;
  for (int64_t group = 0; group < ceil_div(n, kGroup); ++group) {
    float sum = 0;
    for (int64_t k = group * kGroup; k < std::min(n, (group + 1) * kGroup); ++k) sum += product(k);
    total += sum * scale(group);
  }
  return total;
}

}  // namespace

void gemm_fp8_nt(View<float, 2> y, View<const f8e4m3, 2> x, View<const float, 2> x_scales,
                 View<const f8e4m3, 2> w, View<const float, 2> w_scales) noexcept {
  const std::array<float, 256> value = decode_table();
  for (int64_t t = 0; t < y.dim(0); ++t) {
    for (int64_t n = 0; n < y.dim(1); ++n) {
      y(t, n) = sum_groups(
          x.dim(1), [&](int64_t k) { return value[x(t, k).bits] * value[w(n, k).bits]; },
          [&](int64_t group) { return x_scales(t, group) * w_scales(n / kGroup, group); });
    }
  }
}

void gemm_fp8_nn(View<float, 2> dx, View<const f8e4m3, 2> dy, View<const float, 2> dy_scales,
                 View<const f8e4m3, 2> w, View<const float, 2> w_scales) noexcept {
  const std::array<float, 256> value = decode_table();
  for (int64_t t = 0; t < dx.dim(0); ++t) {
    for (int64_t k = 0; k < dx.dim(1); ++k) {
      dx(t, k) = sum_groups(
          dy.dim(1), [&](int64_t n) { return value[dy(t, n).bits] * value[w(n, k).bits]; },
          [&](int64_t group) { return dy_scales(t, group) * w_scales(group, k / kGroup); });
    }
  }
}

void gemm_fp8_tn(View<float, 2> dw, View<const f8e4m3, 2> dy, View<const float, 2> dy_scales,
                 View<const f8e4m3, 2> x, View<const float, 2> x_scales) noexcept {
  const std::array<float, 256> value = decode_table();
  for (int64_t n = 0; n < dw.dim(0); ++n) {
    for (int64_t k = 0; k < dw.dim(1); ++k) {
      dw(n, k) += sum_groups(
          x.dim(0), [&](int64_t t) { return value[dy(t, n).bits] * value[x(t, k).bits]; },
          [&](int64_t group) { return dy_scales(group, n) * x_scales(group, k); });
    }
  }
}

}  // namespace hadal::reference
