// kernels/permute.h: the backends of ops/permute.h. token_of [R] and row_of [T*K] as in
// ExpertRows.
#pragma once

#include <cstdint>
#include <span>

#include "hadal/core/thread_pool.h"
#include "hadal/tensor/view.h"

namespace hadal::reference {  // Real: float or double

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
void gate_backward(View<Real, 2> dgates, View<Real, 2> dh, View<const Real, 2> h,
                   View<const Real, 2> gates, std::span<const int32_t> row_of) noexcept;
template <class Real>
void scale_rows_by_gate(View<Real, 2> x, View<const Real, 2> gates,
                        std::span<const int32_t> row_of) noexcept;

}  // namespace hadal::reference

namespace hadal::cpu {

void gather_rows(ThreadPool& pool, View<float, 2> y, View<const float, 2> x,
                 std::span<const int32_t> token_of);
void gather_rows_backward(ThreadPool& pool, View<float, 2> dx, View<const float, 2> dy,
                          std::span<const int32_t> row_of);
void combine_rows(ThreadPool& pool, View<float, 2> y, View<const float, 2> x,
                  View<const float, 2> gates, std::span<const int32_t> row_of);
void gate_backward(ThreadPool& pool, View<float, 2> dgates, View<float, 2> dh,
                   View<const float, 2> h, View<const float, 2> gates,
                   std::span<const int32_t> row_of);
void scale_rows_by_gate(ThreadPool& pool, View<float, 2> x, View<const float, 2> gates,
                        std::span<const int32_t> row_of);

}  // namespace hadal::cpu

namespace hadal::cuda {

void gather_rows(View<float, 2> y, View<const float, 2> x, std::span<const int32_t> token_of);
void gather_rows_backward(View<float, 2> dx, View<const float, 2> dy,
                          std::span<const int32_t> row_of);
void combine_rows(View<float, 2> y, View<const float, 2> x, View<const float, 2> gates,
                  std::span<const int32_t> row_of);
void gate_backward(View<float, 2> dgates, View<float, 2> dh, View<const float, 2> h,
                   View<const float, 2> gates, std::span<const int32_t> row_of);
void scale_rows_by_gate(View<float, 2> x, View<const float, 2> gates,
                        std::span<const int32_t> row_of);

}  // namespace hadal::cuda
