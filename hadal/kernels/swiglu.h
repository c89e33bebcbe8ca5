// kernels/swiglu.h: the backends of ops/swiglu.h; formulas there.
#pragma once

#include "hadal/core/thread_pool.h"
#include "hadal/kernels/cuda_stream.h"
#include "hadal/tensor/view.h"

namespace hadal::reference {  // Real: float or double

template <class Real>
void swiglu_forward(View<Real, 2> h, View<const Real, 2> gate, View<const Real, 2> up,
                    double limit) noexcept;
template <class Real>
void swiglu_backward(View<Real, 2> dgate, View<Real, 2> dup, View<const Real, 2> dh,
                     View<const Real, 2> gate, View<const Real, 2> up, double limit) noexcept;

}  // namespace hadal::reference

namespace hadal::cpu {

void swiglu_forward(ThreadPool& pool, View<float, 2> h, View<const float, 2> gate,
                    View<const float, 2> up, float limit);
void swiglu_backward(ThreadPool& pool, View<float, 2> dgate, View<float, 2> dup,
                     View<const float, 2> dh, View<const float, 2> gate, View<const float, 2> up,
                     float limit);

}  // namespace hadal::cpu

namespace hadal::cuda {

void swiglu_forward(Stream& stream, View<float, 2> h, View<const float, 2> gate,
                    View<const float, 2> up, float limit);
void swiglu_backward(Stream& stream, View<float, 2> dgate, View<float, 2> dup,
                     View<const float, 2> dh, View<const float, 2> gate, View<const float, 2> up,
                     float limit);

}  // namespace hadal::cuda
