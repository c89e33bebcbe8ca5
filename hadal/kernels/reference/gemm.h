// kernels/reference/gemm.h: the executable specification of ops/gemm.h and ops/grouped_gemm.h.
// Plain loops, f64 sums. T is float or double; double serves the finite-difference tests.
#pragma once

#include <span>

#include "hadal/tensor/view.h"
#include "hadal/tensor/weight_view.h"

namespace hadal::reference {

// y[T,N] = x[T,K] w[N,K]^T + beta y
template <class T>
void gemm_nt(View<T, 2> y, View<const T, 2> x, View<const T, 2> w, T beta) noexcept;
// dx[T,K] = dy[T,N] w[N,K] + beta dx
template <class T>
void gemm_nn(View<T, 2> dx, View<const T, 2> dy, View<const T, 2> w, T beta) noexcept;
// dw[N,K] += dy[T,N]^T x[T,K]
template <class T>
void gemm_tn(View<T, 2> dw, View<const T, 2> dy, View<const T, 2> x) noexcept;

// Stored weights, one product per group of rows.
void grouped_gemm_nt(View<float, 2> y, View<const float, 2> x, std::span<const WeightView> w,
                     std::span<const int64_t> offsets);
void grouped_gemm_nn(View<float, 2> dx, View<const float, 2> dy, std::span<const WeightView> w,
                     std::span<const int64_t> offsets, float beta);
void grouped_gemm_tn(std::span<const View<float, 2>> dw, View<const float, 2> dy,
                     View<const float, 2> x, std::span<const int64_t> offsets) noexcept;

}  // namespace hadal::reference
