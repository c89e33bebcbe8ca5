// kernels/reference/adamw_update.h: the executable specification of ops/adamw_update.h.
// Moment is float or bf16.
#pragma once

#include <span>

#include "hadal/kernels/adamw_step.h"
#include "hadal/tensor/dtype.h"

namespace hadal::reference {

template <class Moment>
void adamw_update(std::span<float> value, std::span<Moment> m, std::span<Moment> v,
                  std::span<const float> grad, const AdamwStep& step) noexcept;

}  // namespace hadal::reference
