// kernels/gemm.h: the backends of ops/gemm.h and ops/grouped_gemm.h; formulas and shapes there.
#pragma once

#include <span>

#include "hadal/core/thread_pool.h"
#include "hadal/tensor/weight_view.h"

namespace hadal::reference {  // Real: float or double (for the finite-difference tests), f64 sums

template <class Real>
void gemm_nt(View<Real, 2> y, View<const Real, 2> x, View<const Real, 2> w, Real beta) noexcept;
template <class Real>
void gemm_nn(View<Real, 2> dx, View<const Real, 2> dy, View<const Real, 2> w, Real beta) noexcept;
template <class Real>
void gemm_tn(View<Real, 2> dw, View<const Real, 2> dy, View<const Real, 2> x) noexcept;

// Stored weights, one product per group of rows.
void grouped_gemm_nt(View<float, 2> y, View<const float, 2> x, std::span<const WeightView> w,
                     std::span<const int64_t> offsets);
void grouped_gemm_nn(View<float, 2> dx, View<const float, 2> dy, std::span<const WeightView> w,
                     std::span<const int64_t> offsets, float beta);
void grouped_gemm_tn(std::span<const View<float, 2>> dw, View<const float, 2> dy,
                     View<const float, 2> x, std::span<const int64_t> offsets) noexcept;

}  // namespace hadal::reference

namespace hadal::cpu {

void gemm_nt(ThreadPool& pool, View<float, 2> y, View<const float, 2> x, const WeightView& w,
             float beta);
void gemm_nn(ThreadPool& pool, View<float, 2> dx, View<const float, 2> dy, const WeightView& w,
             float beta);
void gemm_tn(ThreadPool& pool, View<float, 2> dw, View<const float, 2> dy, View<const float, 2> x);

void grouped_gemm_nt(ThreadPool& pool, View<float, 2> y, View<const float, 2> x,
                     std::span<const WeightView> w, std::span<const int64_t> offsets);
void grouped_gemm_nn(ThreadPool& pool, View<float, 2> dx, View<const float, 2> dy,
                     std::span<const WeightView> w, std::span<const int64_t> offsets, float beta);
void grouped_gemm_tn(ThreadPool& pool, std::span<const View<float, 2>> dw, View<const float, 2> dy,
                     View<const float, 2> x, std::span<const int64_t> offsets);

}  // namespace hadal::cpu

namespace hadal::cuda {

void gemm_nt(View<float, 2> y, View<const float, 2> x, const WeightView& w, float beta);
void gemm_nn(View<float, 2> dx, View<const float, 2> dy, const WeightView& w, float beta);
void gemm_tn(View<float, 2> dw, View<const float, 2> dy, View<const float, 2> x);
void grouped_gemm_nt(View<float, 2> y, View<const float, 2> x, std::span<const WeightView> w,
                     std::span<const int64_t> offsets);
void grouped_gemm_nn(View<float, 2> dx, View<const float, 2> dy, std::span<const WeightView> w,
                     std::span<const int64_t> offsets, float beta);
void grouped_gemm_tn(std::span<const View<float, 2>> dw, View<const float, 2> dy,
                     View<const float, 2> x, std::span<const int64_t> offsets);

}  // namespace hadal::cuda
