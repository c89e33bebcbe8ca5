#include "hadal/kernels/permute.h"

namespace hadal::reference {
namespace {

// -1: the expert is elsewhere.
int64_t row_at(std::span<const int32_t> row_of, int64_t K, int64_t t, int64_t k) noexcept {
  return row_of[static_cast<size_t>(t * K + k)];
}

}  // namespace

template <class Real>
void gather_rows(View<Real, 2> y, View<const Real, 2> x,
                 std::span<const int32_t> token_of) noexcept {
  const auto [R, D] = y.shape();
  for (int64_t r = 0; r < R; ++r) {
    for (int64_t i = 0; i < D; ++i) y(r, i) = x(token_of[static_cast<size_t>(r)], i);
  }
}

template <class Real>
void gather_rows_backward(View<Real, 2> dx, View<const Real, 2> dy,
                          std::span<const int32_t> row_of) noexcept {
  const auto [T, D] = dx.shape();
  const int64_t K = T == 0 ? 0 : static_cast<int64_t>(row_of.size()) / T;
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t i = 0; i < D; ++i) {
      double sum = 0;
      for (int64_t k = 0; k < K; ++k) {
        const int64_t r = row_at(row_of, K, t, k);
        if (r >= 0) sum += dy(r, i);
      }
      dx(t, i) = static_cast<Real>(dx(t, i) + sum);
    }
  }
}

template <class Real>
void combine_rows(View<Real, 2> y, View<const Real, 2> x, View<const Real, 2> gates,
                  std::span<const int32_t> row_of) noexcept {
  const auto [T, D] = y.shape();
  const int64_t K = gates.dim(1);
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t i = 0; i < D; ++i) {
      double sum = 0;
      for (int64_t k = 0; k < K; ++k) {
        const int64_t r = row_at(row_of, K, t, k);
        if (r >= 0) sum += double{gates(t, k)} * x(r, i);
      }
      y(t, i) = static_cast<Real>(y(t, i) + sum);
    }
  }
}

template <class Real>
void gate_backward(View<Real, 1> dgates, View<Real, 2> dh, View<const Real, 2> h,
                   View<const Real, 1> gates) noexcept {
  const auto [R, F] = h.shape();
  for (int64_t r = 0; r < R; ++r) {
    double dot = 0;
    for (int64_t i = 0; i < F; ++i) dot += double{dh(r, i)} * h(r, i);
    dgates(r) = static_cast<Real>(dot);
    for (int64_t i = 0; i < F; ++i) dh(r, i) *= gates(r);
  }
}

template <class Real>
void scale_rows(View<Real, 2> x, View<const Real, 1> factors) noexcept {
  for (int64_t r = 0; r < x.dim(0); ++r) {
    for (int64_t i = 0; i < x.dim(1); ++i) x(r, i) *= factors(r);
  }
}

template <class Real>
void choices_to_rows(View<Real, 1> rows, View<const Real, 2> choices,
                     std::span<const int32_t> row_of) noexcept {
  const auto [T, K] = choices.shape();
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t k = 0; k < K; ++k) {
      const int64_t r = row_at(row_of, K, t, k);
      if (r >= 0) rows(r) = choices(t, k);
    }
  }
}

template <class Real>
void rows_to_choices(View<Real, 2> choices, View<const Real, 1> rows,
                     std::span<const int32_t> row_of) noexcept {
  const auto [T, K] = choices.shape();
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t k = 0; k < K; ++k) {
      const int64_t r = row_at(row_of, K, t, k);
      choices(t, k) = r >= 0 ? rows(r) : Real{0};
    }
  }
}

#define HADAL_INSTANTIATE(Real)                                                             \
  template void gather_rows<Real>(View<Real, 2>, View<const Real, 2>,                       \
                                  std::span<const int32_t>) noexcept;                       \
  template void gather_rows_backward<Real>(View<Real, 2>, View<const Real, 2>,              \
                                           std::span<const int32_t>) noexcept;              \
  template void combine_rows<Real>(View<Real, 2>, View<const Real, 2>, View<const Real, 2>, \
                                   std::span<const int32_t>) noexcept;                      \
  template void choices_to_rows<Real>(View<Real, 1>, View<const Real, 2>,                   \
                                      std::span<const int32_t>) noexcept;                   \
  template void rows_to_choices<Real>(View<Real, 2>, View<const Real, 1>,                   \
                                      std::span<const int32_t>) noexcept;                   \
  template void gate_backward<Real>(View<Real, 1>, View<Real, 2>, View<const Real, 2>,      \
                                    View<const Real, 1>) noexcept;                          \
  template void scale_rows<Real>(View<Real, 2>, View<const Real, 1>) noexcept;
HADAL_INSTANTIATE(float)
HADAL_INSTANTIATE(double)
#undef HADAL_INSTANTIATE

}  // namespace hadal::reference
