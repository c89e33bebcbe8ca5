// kernels/rmsnorm.h: the backends of ops/rmsnorm.h; formulas and shapes there.
#pragma once

#include "hadal/core/thread_pool.h"
#include "hadal/kernels/cuda_stream.h"
#include "hadal/tensor/view.h"

namespace hadal::reference {  // Real: float or double

template <class Real>
void rmsnorm_forward(View<Real, 2> y, View<Real, 1> r, View<const Real, 2> x, View<const Real, 1> w,
                     double eps) noexcept;
template <class Real>
void rmsnorm_backward_input(View<Real, 2> dx, View<const Real, 2> dy, View<const Real, 2> x,
                            View<const Real, 1> w, View<const Real, 1> r, double beta) noexcept;
template <class Real>
void rmsnorm_backward_weight(View<Real, 1> dw, View<const Real, 2> dy, View<const Real, 2> x,
                             View<const Real, 1> r) noexcept;
template <class Real>
void rmsnorm_input(View<Real, 2> x, View<const Real, 2> y, View<const Real, 1> w,
                   View<const Real, 1> r) noexcept;

}  // namespace hadal::reference

namespace hadal::cpu {

void rmsnorm_forward(ThreadPool& pool, View<float, 2> y, View<float, 1> r, View<const float, 2> x,
                     View<const float, 1> w, float eps);
void rmsnorm_backward_input(ThreadPool& pool, View<float, 2> dx, View<const float, 2> dy,
                            View<const float, 2> x, View<const float, 1> w, View<const float, 1> r,
                            float beta);
void rmsnorm_backward_weight(ThreadPool& pool, View<float, 1> dw, View<const float, 2> dy,
                             View<const float, 2> x, View<const float, 1> r);
void rmsnorm_input(ThreadPool& pool, View<float, 2> x, View<const float, 2> y,
                   View<const float, 1> w, View<const float, 1> r);

}  // namespace hadal::cpu

namespace hadal::cuda {

void rmsnorm_forward(Stream& stream, View<float, 2> y, View<float, 1> r, View<const float, 2> x,
                     View<const float, 1> w, float eps);
void rmsnorm_backward_input(Stream& stream, View<float, 2> dx, View<const float, 2> dy,
                            View<const float, 2> x, View<const float, 1> w, View<const float, 1> r,
                            float beta);
void rmsnorm_backward_weight(Stream& stream, View<float, 1> dw, View<const float, 2> dy,
                             View<const float, 2> x, View<const float, 1> r);
void rmsnorm_input(Stream& stream, View<float, 2> x, View<const float, 2> y, View<const float, 1> w,
                   View<const float, 1> r);

}  // namespace hadal::cuda
