// ops/grouped_gemm.h: the same three products for many small weights at once: rows
// [offsets[e], offsets[e+1]) of the row operand meet weight e. Used for routed experts, whose row
// counts differ at every step; each row is bit for bit what ops/gemm.h makes of it without groups.
// Empty groups are legal, and nobody looks at their weights. The others
// have the same shape [N,K].
#pragma once

#include <span>

#include "hadal/tensor/context.h"
#include "hadal/tensor/weight_view.h"

namespace hadal {

// y[R,N] = x[R,K] W_e[N,K]^T;   offsets has E+1 entries, offsets[E] == R
void grouped_gemm_nt(Context& ctx, View<float, 2> y, View<const float, 2> x,
                     std::span<const WeightView> w, std::span<const int64_t> offsets);
// dx[R,K] = dy[R,N] W_e[N,K] + beta dx
void grouped_gemm_nn(Context& ctx, View<float, 2> dx, View<const float, 2> dy,
                     std::span<const WeightView> w, std::span<const int64_t> offsets,
                     float beta = 0.0F);
// dw_e[N,K] += dy_e^T x_e
void grouped_gemm_tn(Context& ctx, std::span<const View<float, 2>> dw, View<const float, 2> dy,
                     View<const float, 2> x, std::span<const int64_t> offsets);

}  // namespace hadal
