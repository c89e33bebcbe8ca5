// kernels/reference/rmsnorm.h: the executable specification of ops/rmsnorm.h, in f32 or f64.
#pragma once

#include "hadal/tensor/view.h"

namespace hadal::reference {

template <class Real>
void rmsnorm_forward(View<Real, 2> y, View<Real, 1> r, View<const Real, 2> x, View<const Real, 1> w,
                     double eps) noexcept;
template <class Real>
void rmsnorm_backward_input(View<Real, 2> dx, View<const Real, 2> dy, View<const Real, 2> x,
                            View<const Real, 1> w, View<const Real, 1> r, double beta) noexcept;
template <class Real>
void rmsnorm_backward_weight(View<Real, 1> dw, View<const Real, 2> dy, View<const Real, 2> x,
                             View<const Real, 1> r) noexcept;

}  // namespace hadal::reference
