// kernels/reference/embedding.h: the executable specification of ops/embedding.h.
#pragma once

#include <cstdint>
#include <span>

#include "hadal/tensor/view.h"
#include "hadal/tensor/weight_view.h"

namespace hadal::reference {

void embedding_forward(View<float, 2> x, const WeightView& w, std::span<const int32_t> ids);
template <class Real>
void embedding_backward_weight(View<Real, 2> dw, View<const Real, 2> dx,
                               std::span<const int32_t> ids) noexcept;

}  // namespace hadal::reference
