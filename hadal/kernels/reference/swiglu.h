// kernels/reference/swiglu.h: the executable specification of ops/swiglu.h, in f32 or f64.
#pragma once

#include "hadal/tensor/view.h"

namespace hadal::reference {

template <class Real>
void swiglu_forward(View<Real, 2> h, View<const Real, 2> gate, View<const Real, 2> up) noexcept;
template <class Real>
void swiglu_backward(View<Real, 2> dgate, View<Real, 2> dup, View<const Real, 2> dh,
                     View<const Real, 2> gate, View<const Real, 2> up) noexcept;

}  // namespace hadal::reference
