#include "hadal/kernels/swiglu.h"

#include <cmath>

namespace hadal::reference {

template <class Real>
void swiglu_forward(View<Real, 2> h, View<const Real, 2> gate, View<const Real, 2> up) noexcept {
  const auto [T, F] = gate.shape();
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t i = 0; i < F; ++i) {
      const double g = gate(t, i);
      h(t, i) = static_cast<Real>(g / (1.0 + std::exp(-g)) * up(t, i));
    }
  }
}

template <class Real>
void swiglu_backward(View<Real, 2> dgate, View<Real, 2> dup, View<const Real, 2> dh,
                     View<const Real, 2> gate, View<const Real, 2> up) noexcept {
  const auto [T, F] = gate.shape();
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t i = 0; i < F; ++i) {
      const double g = gate(t, i), u = up(t, i), d = dh(t, i);
      const double sigmoid = 1.0 / (1.0 + std::exp(-g));
      // silu'(g) = sigmoid(g) (1 + g (1 - sigmoid(g)))
      dgate(t, i) = static_cast<Real>(d * u * sigmoid * (1.0 + g * (1.0 - sigmoid)));
      dup(t, i) = static_cast<Real>(d * g * sigmoid);
    }
  }
}

#define HADAL_INSTANTIATE(Real)                                                          \
  template void swiglu_forward<Real>(View<Real, 2>, View<const Real, 2>,                 \
                                     View<const Real, 2>) noexcept;                      \
  template void swiglu_backward<Real>(View<Real, 2>, View<Real, 2>, View<const Real, 2>, \
                                      View<const Real, 2>, View<const Real, 2>) noexcept;
HADAL_INSTANTIATE(float)
HADAL_INSTANTIATE(double)
#undef HADAL_INSTANTIATE

}  // namespace hadal::reference
