// kernels/reference/rope.h: the executable specification of ops/rope_yarn.h, in f32 or f64.
#pragma once

#include <cstdint>
#include <span>

#include "hadal/tensor/view.h"

namespace hadal::reference {

// direction +1 turns forward, -1 back. cos, sin [n_positions, dim/2].
template <class Real>
void rope_turn(View<Real, 3> x, View<const Real, 2> cos, View<const Real, 2> sin,
               std::span<const int32_t> positions, int direction) noexcept;

}  // namespace hadal::reference
