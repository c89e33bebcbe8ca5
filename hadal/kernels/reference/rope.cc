#include "hadal/kernels/rope.h"

namespace hadal::reference {

template <class Real>
void rope_turn(View<Real, 3> x, View<const Real, 2> cos, View<const Real, 2> sin,
               std::span<const int32_t> positions, int direction) noexcept {
  const auto [T, H, dim] = x.shape();
  for (int64_t t = 0; t < T; ++t) {
    const int64_t position = positions[static_cast<size_t>(t)];
    for (int64_t h = 0; h < H; ++h) {
      for (int64_t i = 0; i < dim / 2; ++i) {
        const Real c = cos(position, i);
        const Real s = direction > 0 ? sin(position, i) : -sin(position, i);
        const Real even = x(t, h, 2 * i), odd = x(t, h, 2 * i + 1);
        x(t, h, 2 * i) = even * c - odd * s;
        x(t, h, 2 * i + 1) = even * s + odd * c;
      }
    }
  }
}

template void rope_turn<float>(View<float, 3>, View<const float, 2>, View<const float, 2>,
                               std::span<const int32_t>, int) noexcept;
template void rope_turn<double>(View<double, 3>, View<const double, 2>, View<const double, 2>,
                                std::span<const int32_t>, int) noexcept;

}  // namespace hadal::reference
