// kernels/reference/cross_entropy.h: the executable specification of ops/cross_entropy.h.
#pragma once

#include <cstdint>
#include <span>

#include "hadal/tensor/view.h"

namespace hadal::reference {

template <class Real>
void cross_entropy_forward(View<Real, 1> loss, View<const Real, 2> logits,
                           std::span<const int32_t> targets) noexcept;
template <class Real>
void cross_entropy_forward_backward(View<Real, 1> loss, View<Real, 2> logits,
                                    std::span<const int32_t> targets, double scale) noexcept;

}  // namespace hadal::reference
