#include "hadal/kernels/swiglu.h"

#include <cmath>

namespace hadal::reference {
namespace {

// NaN stays NaN: a clamp must not hide it.
double at_most(double x, double limit) { return x > limit ? limit : x; }
double within(double x, double limit) { return x < -limit ? -limit : at_most(x, limit); }

}  // namespace

template <class Real>
void swiglu_forward(View<Real, 2> h, View<const Real, 2> gate, View<const Real, 2> up,
                    double limit) noexcept {
  const auto [T, F] = gate.shape();
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t i = 0; i < F; ++i) {
      const double g = at_most(gate(t, i), limit), u = within(up(t, i), limit);
      h(t, i) = static_cast<Real>(g / (1.0 + std::exp(-g)) * u);
    }
  }
}

template <class Real>
void swiglu_backward(View<Real, 2> dgate, View<Real, 2> dup, View<const Real, 2> dh,
                     View<const Real, 2> gate, View<const Real, 2> up, double limit) noexcept {
  const auto [T, F] = gate.shape();
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t i = 0; i < F; ++i) {
      const double g = at_most(gate(t, i), limit), u = within(up(t, i), limit), d = dh(t, i);
      const bool gate_clamped = gate(t, i) > limit, up_clamped = std::abs(up(t, i)) > limit;
      const double sigmoid = 1.0 / (1.0 + std::exp(-g));
      // silu'(g) = sigmoid(g) (1 + g (1 - sigmoid(g)))
      const double slope = sigmoid * (1.0 + g * (1.0 - sigmoid));
      dgate(t, i) = gate_clamped ? Real{0} : static_cast<Real>(d * u * slope);
      dup(t, i) = up_clamped ? Real{0} : static_cast<Real>(d * g * sigmoid);
    }
  }
}

#define HADAL_INSTANTIATE(Real)                                                               \
  template void swiglu_forward<Real>(View<Real, 2>, View<const Real, 2>, View<const Real, 2>, \
                                     double) noexcept;                                        \
  template void swiglu_backward<Real>(View<Real, 2>, View<Real, 2>, View<const Real, 2>,      \
                                      View<const Real, 2>, View<const Real, 2>, double) noexcept;
HADAL_INSTANTIATE(float)
HADAL_INSTANTIATE(double)
#undef HADAL_INSTANTIATE

}  // namespace hadal::reference
