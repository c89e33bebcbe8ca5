// kernels/permute.h: the backends of ops/permute.h. token_of [R] and row_of [T*K] as in
// ExpertRows.
#pragma once

#include <cstdint>
#include <span>

#include "hadal/core/thread_pool.h"
#include "hadal/kernels/cuda_stream.h"
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
void choices_to_rows(View<Real, 1> rows, View<const Real, 2> choices,
                     std::span<const int32_t> row_of) noexcept;
template <class Real>
void rows_to_choices(View<Real, 2> choices, View<const Real, 1> rows,
                     std::span<const int32_t> row_of) noexcept;
template <class Real>
void gate_backward(View<Real, 1> dgates, View<Real, 2> dh, View<const Real, 2> h,
                   View<const Real, 1> gates) noexcept;
template <class Real>
void scale_rows(View<Real, 2> x, View<const Real, 1> factors) noexcept;

}  // namespace hadal::reference

namespace hadal::cpu {

void gather_rows(ThreadPool& pool, View<float, 2> y, View<const float, 2> x,
                 std::span<const int32_t> token_of);
void gather_rows_backward(ThreadPool& pool, View<float, 2> dx, View<const float, 2> dy,
                          std::span<const int32_t> row_of);
void combine_rows(ThreadPool& pool, View<float, 2> y, View<const float, 2> x,
                  View<const float, 2> gates, std::span<const int32_t> row_of);
void gate_backward(ThreadPool& pool, View<float, 1> dgates, View<float, 2> dh,
                   View<const float, 2> h, View<const float, 1> gates);
void scale_rows(ThreadPool& pool, View<float, 2> x, View<const float, 1> factors);

}  // namespace hadal::cpu

namespace hadal::cuda {

void gather_rows(Stream& stream, View<float, 2> y, View<const float, 2> x,
                 std::span<const int32_t> token_of);
void gather_rows_backward(Stream& stream, View<float, 2> dx, View<const float, 2> dy,
                          std::span<const int32_t> row_of);
void combine_rows(Stream& stream, View<float, 2> y, View<const float, 2> x,
                  View<const float, 2> gates, std::span<const int32_t> row_of);
void choices_to_rows(Stream& stream, View<float, 1> rows, View<const float, 2> choices,
                     std::span<const int32_t> row_of);
void rows_to_choices(Stream& stream, View<float, 2> choices, View<const float, 1> rows,
                     std::span<const int32_t> row_of);
void gate_backward(Stream& stream, View<float, 1> dgates, View<float, 2> dh, View<const float, 2> h,
                   View<const float, 1> gates);
void scale_rows(Stream& stream, View<float, 2> x, View<const float, 1> factors);

}  // namespace hadal::cuda
