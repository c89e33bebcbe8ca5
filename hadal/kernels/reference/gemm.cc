#include "hadal/kernels/gemm.h"

namespace hadal::reference {

template <class Real>
void gemm_nt(View<Real, 2> y, View<const Real, 2> x, View<const Real, 2> w, Real beta) noexcept {
  for (int64_t t = 0; t < y.dim(0); ++t) {
    for (int64_t n = 0; n < y.dim(1); ++n) {
      double sum = beta == Real{0} ? 0.0 : double{beta} * double{y(t, n)};
      for (int64_t k = 0; k < x.dim(1); ++k) sum += double{x(t, k)} * double{w(n, k)};
      y(t, n) = static_cast<Real>(sum);
    }
  }
}

template <class Real>
void gemm_nn(View<Real, 2> dx, View<const Real, 2> dy, View<const Real, 2> w, Real beta) noexcept {
  for (int64_t t = 0; t < dx.dim(0); ++t) {
    for (int64_t k = 0; k < dx.dim(1); ++k) {
      double sum = beta == Real{0} ? 0.0 : double{beta} * double{dx(t, k)};
      for (int64_t n = 0; n < dy.dim(1); ++n) sum += double{dy(t, n)} * double{w(n, k)};
      dx(t, k) = static_cast<Real>(sum);
    }
  }
}

template <class Real>
void gemm_tn(View<Real, 2> dw, View<const Real, 2> dy, View<const Real, 2> x) noexcept {
  for (int64_t n = 0; n < dw.dim(0); ++n) {
    for (int64_t k = 0; k < dw.dim(1); ++k) {
      double sum = double{dw(n, k)};
      for (int64_t t = 0; t < x.dim(0); ++t) sum += double{dy(t, n)} * double{x(t, k)};
      dw(n, k) = static_cast<Real>(sum);
    }
  }
}

template void gemm_nt(View<float, 2>, View<const float, 2>, View<const float, 2>, float) noexcept;
template void gemm_nt(View<double, 2>, View<const double, 2>, View<const double, 2>,
                      double) noexcept;
template void gemm_nn(View<float, 2>, View<const float, 2>, View<const float, 2>, float) noexcept;
template void gemm_nn(View<double, 2>, View<const double, 2>, View<const double, 2>,
                      double) noexcept;
template void gemm_tn(View<float, 2>, View<const float, 2>, View<const float, 2>) noexcept;
template void gemm_tn(View<double, 2>, View<const double, 2>, View<const double, 2>) noexcept;

}  // namespace hadal::reference
