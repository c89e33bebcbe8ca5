// kernels/gemm.h: the backends of ops/gemm.h; formulas and shapes there.
#pragma once

#include <span>

#include "hadal/core/thread_pool.h"
#include "hadal/kernels/cuda_stream.h"
#include "hadal/kernels/product.h"

namespace hadal::reference {  // Real: float or double (for the finite-difference tests), f64 sums

template <class Real>
void gemm_nt(View<Real, 2> y, View<const Real, 2> x, View<const Real, 2> w, Real beta) noexcept;
template <class Real>
void gemm_nn(View<Real, 2> dx, View<const Real, 2> dy, View<const Real, 2> w, Real beta) noexcept;
template <class Real>
void gemm_tn(View<Real, 2> dw, View<const Real, 2> dy, View<const Real, 2> x) noexcept;

}  // namespace hadal::reference

namespace hadal::cpu {

void gemm_nt(ThreadPool& pool, std::span<const Product> products);
void gemm_nn(ThreadPool& pool, std::span<const Product> products);
void gemm_tn(ThreadPool& pool, std::span<const WeightGradient> products);

}  // namespace hadal::cpu

namespace hadal::cuda {

void gemm_nt(Stream& stream, std::span<const Product> products);
void gemm_nn(Stream& stream, std::span<const Product> products);
void gemm_tn(Stream& stream, std::span<const WeightGradient> products);

}  // namespace hadal::cuda
