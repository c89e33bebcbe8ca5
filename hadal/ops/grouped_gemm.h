// ops/grouped_gemm.h: the products of ops/gemm.h for many small weights at once: rows
// [offsets[e], offsets[e+1]) of the row operand meet weight e. Used for routed experts, whose row
// counts differ at every step; each row is bit for bit what ops/gemm.h makes of it without groups.
// Empty groups are legal, and nobody looks at their weights. The others have the same shape [N,K].
#pragma once

#include <span>
#include <vector>

#include "hadal/ops/gemm.h"

namespace hadal {

// The products of the groups that have rows, appended to a list. `rows` R, offsets has E+1 entries,
// offsets[E] == R.
//   nt: out [R,N], in [R,K]        nn: out [R,K], in [R,N]
void append_groups(std::vector<Product>& products, View<float, 2> out, View<const float, 2> in,
                   std::span<const WeightView> w, std::span<const int64_t> offsets,
                   float beta = 0.0F, bool is_bf16 = false);
// dw_e[N,K] += dy_e^T x_e
void append_groups(std::vector<WeightGradient>& products, std::span<const View<float, 2>> dw,
                   View<const float, 2> dy, View<const float, 2> x,
                   std::span<const int64_t> offsets, bool is_bf16 = false);

// One group of groups, computed at once.
void grouped_gemm_nt(Context& ctx, View<float, 2> y, View<const float, 2> x,
                     std::span<const WeightView> w, std::span<const int64_t> offsets);
void grouped_gemm_nn(Context& ctx, View<float, 2> dx, View<const float, 2> dy,
                     std::span<const WeightView> w, std::span<const int64_t> offsets,
                     float beta = 0.0F);
void grouped_gemm_tn(Context& ctx, std::span<const View<float, 2>> dw, View<const float, 2> dy,
                     View<const float, 2> x, std::span<const int64_t> offsets);

}  // namespace hadal
