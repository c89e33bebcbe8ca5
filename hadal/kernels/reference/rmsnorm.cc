#include "hadal/kernels/rmsnorm.h"

#include <cmath>

namespace hadal::reference {

template <class Real>
void rmsnorm_forward(View<Real, 2> y, View<Real, 1> r, View<const Real, 2> x, View<const Real, 1> w,
                     double eps) noexcept {
  const auto [T, D] = x.shape();
  for (int64_t t = 0; t < T; ++t) {
    double sum_sq = 0;
    for (int64_t i = 0; i < D; ++i) sum_sq += double{x(t, i)} * double{x(t, i)};
    r(t) = static_cast<Real>(1.0 / std::sqrt(sum_sq / static_cast<double>(D) + eps));
    for (int64_t i = 0; i < D; ++i) y(t, i) = w(i) * (x(t, i) * r(t));
  }
}

template <class Real>
void rmsnorm_backward_input(View<Real, 2> dx, View<const Real, 2> dy, View<const Real, 2> x,
                            View<const Real, 1> w, View<const Real, 1> r, double beta) noexcept {
  const auto [T, D] = x.shape();
  for (int64_t t = 0; t < T; ++t) {
    const double rt = r(t);
    double g_dot_n = 0;
    for (int64_t i = 0; i < D; ++i) g_dot_n += double{w(i)} * dy(t, i) * x(t, i) * rt;
    const double mean = g_dot_n / static_cast<double>(D);
    for (int64_t i = 0; i < D; ++i) {
      const double direct = rt * (double{w(i)} * dy(t, i) - x(t, i) * rt * mean);
      dx(t, i) = static_cast<Real>(beta == 0 ? direct : direct + beta * dx(t, i));
    }
  }
}

template <class Real>
void rmsnorm_backward_weight(View<Real, 1> dw, View<const Real, 2> dy, View<const Real, 2> x,
                             View<const Real, 1> r) noexcept {
  const auto [T, D] = x.shape();
  for (int64_t i = 0; i < D; ++i) {
    double sum = 0;
    for (int64_t t = 0; t < T; ++t) sum += double{dy(t, i)} * x(t, i) * r(t);
    dw(i) += static_cast<Real>(sum);
  }
}

template <class Real>
void rmsnorm_input(View<Real, 2> x, View<const Real, 2> y, View<const Real, 1> w,
                   View<const Real, 1> r) noexcept {
  const auto [T, D] = x.shape();
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t i = 0; i < D; ++i) {
      const Real factor = w(i) * r(t);
      x(t, i) = factor == 0 ? 0 : y(t, i) / factor;
    }
  }
}

#define HADAL_INSTANTIATE(Real)                                                                   \
  template void rmsnorm_forward<Real>(View<Real, 2>, View<Real, 1>, View<const Real, 2>,          \
                                      View<const Real, 1>, double) noexcept;                      \
  template void rmsnorm_backward_input<Real>(View<Real, 2>, View<const Real, 2>,                  \
                                             View<const Real, 2>, View<const Real, 1>,            \
                                             View<const Real, 1>, double) noexcept;               \
  template void rmsnorm_backward_weight<Real>(View<Real, 1>, View<const Real, 2>,                 \
                                              View<const Real, 2>, View<const Real, 1>) noexcept; \
  template void rmsnorm_input<Real>(View<Real, 2>, View<const Real, 2>, View<const Real, 1>,      \
                                    View<const Real, 1>) noexcept;
HADAL_INSTANTIATE(float)
HADAL_INSTANTIATE(double)
#undef HADAL_INSTANTIATE

}  // namespace hadal::reference
