// kernels/rope.h: the backends of ops/rope_yarn.h. direction +1 turns forward, -1 back. cos, sin
// [n_positions, dim/2].
#pragma once

#include <cstdint>
#include <span>

#include "hadal/core/thread_pool.h"
#include "hadal/kernels/cuda_stream.h"
#include "hadal/tensor/view.h"

namespace hadal::reference {  // Real: float or double

// direction +1 turns forward, -1 back. cos, sin [n_positions, dim/2].
template <class Real>
void rope_turn(View<Real, 3> x, View<const Real, 2> cos, View<const Real, 2> sin,
               std::span<const int32_t> positions, int direction) noexcept;

}  // namespace hadal::reference

namespace hadal::cpu {

// direction +1 turns forward, -1 back.
void rope_turn(ThreadPool& pool, View<float, 3> x, View<const float, 2> cos,
               View<const float, 2> sin, std::span<const int32_t> positions, int direction);

}  // namespace hadal::cpu

namespace hadal::cuda {

void rope_turn(Stream& stream, View<float, 3> x, View<const float, 2> cos, View<const float, 2> sin,
               std::span<const int32_t> positions, int direction);

}  // namespace hadal::cuda
