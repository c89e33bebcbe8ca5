#include "hadal/kernels/cross_entropy.h"

#include <algorithm>
#include <cmath>

namespace hadal::reference {
namespace {

template <class Real>
double log_sum_exp(std::span<const Real> row) noexcept {
  double largest = row[0];
  for (const Real value : row) largest = std::max<double>(largest, value);
  double sum = 0;
  for (const Real value : row) sum += std::exp(value - largest);
  return largest + std::log(sum);
}

}  // namespace

template <class Real>
void cross_entropy_forward(View<Real, 1> loss, View<const Real, 2> logits,
                           std::span<const int32_t> targets) noexcept {
  for (int64_t t = 0; t < logits.dim(0); ++t) {
    const int64_t target = targets[static_cast<size_t>(t)];
    loss(t) =
        target < 0 ? Real{0} : static_cast<Real>(log_sum_exp(logits.row(t)) - logits(t, target));
  }
}

template <class Real>
void cross_entropy_forward_backward(View<Real, 1> loss, View<Real, 2> logits,
                                    std::span<const int32_t> targets, double scale) noexcept {
  const auto [T, V] = logits.shape();
  for (int64_t t = 0; t < T; ++t) {
    const int64_t target = targets[static_cast<size_t>(t)];
    if (target < 0) {
      loss(t) = 0;
      for (int64_t v = 0; v < V; ++v) logits(t, v) = 0;
      continue;
    }
    const double lse = log_sum_exp<Real>(logits.row(t));
    loss(t) = static_cast<Real>(lse - logits(t, target));
    for (int64_t v = 0; v < V; ++v) {
      const double p = std::exp(logits(t, v) - lse);
      logits(t, v) = static_cast<Real>(scale * (p - (v == target ? 1.0 : 0.0)));
    }
  }
}

#define HADAL_INSTANTIATE(Real)                                                    \
  template void cross_entropy_forward<Real>(View<Real, 1>, View<const Real, 2>,    \
                                            std::span<const int32_t>) noexcept;    \
  template void cross_entropy_forward_backward<Real>(View<Real, 1>, View<Real, 2>, \
                                                     std::span<const int32_t>, double) noexcept;
HADAL_INSTANTIATE(float)
HADAL_INSTANTIATE(double)
#undef HADAL_INSTANTIATE

}  // namespace hadal::reference
