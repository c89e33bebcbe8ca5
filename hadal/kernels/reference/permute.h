// kernels/reference/permute.h: the executable specification of ops/permute.h, in f32 or f64.
// token_of [R], row_of [T*K] as in ExpertRows.
#pragma once

#include <cstdint>
#include <span>

#include "hadal/tensor/view.h"

namespace hadal::reference {

template <class Real>
void gather_rows(View<Real, 2> y, View<const Real, 2> x,
                 std::span<const int32_t> token_of) noexcept;
template <class Real>
void gather_rows_backward(View<Real, 2> dx, View<const Real, 2> dy,
                          std::span<const int32_t> row_of) noexcept;
template <class Real>
void combine_rows(View<Real, 2> y, View<const Real, 2> x, View<const Real, 2> gates,
                  std::span<const int32_t> row_of) noexcept;
template <class Real>
void gate_backward(View<Real, 1> dgates, View<Real, 2> dh, View<const Real, 2> h,
                   View<const Real, 1> gates) noexcept;
template <class Real>
void scale_rows(View<Real, 2> x, View<const Real, 1> factors) noexcept;
template <class Real>
void choices_to_rows(View<Real, 1> rows, View<const Real, 2> choices,
                     std::span<const int32_t> row_of) noexcept;
template <class Real>
void rows_to_choices(View<Real, 2> choices, View<const Real, 1> rows,
                     std::span<const int32_t> row_of) noexcept;

}  // namespace hadal::reference
