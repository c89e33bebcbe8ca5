// kernels/cpu/few_rows.h: products of a few rows (decoding, experts with few tokens) with a weight
// that is read once, as it is stored, and never packed: at these shapes reading it is the whole
// cost.
//
// A row of the result does not depend, in any bit, on which other rows are computed with it, nor on
// how the columns are cut, nor on this kernel being taken or kernels/cpu/block_gemm.h: greedy decoding
// gives the same tokens for one draft and for several, alone and among others.
#pragma once

#include <cstdint>

#include "hadal/tensor/weight_view.h"

namespace hadal::cpu {

// Above this many rows, packing the weight pays (measured with bench/gemm_bench on Zen 4: at 64
// rows both are even in nt; in nn the sums pass through L1 and packing pays earlier).
inline constexpr int64_t kFewRowsNt = 64;
inline constexpr int64_t kFewRowsNn = 32;

// Sums are cut at these depths, in every kernel: a cut is summed from zero and then added. So they
// are part of what a result is, like the order within a cut: in nt lane by lane and then the lanes in
// pairs, in nn ascending.
inline constexpr int64_t kDepthNt = 512;
inline constexpr int64_t kDepthNn = 256;

// y[m,N] = x[m,K] w[N,K]^T (+ y)
void few_rows_nt(View<float, 2> y, View<const float, 2> x, const WeightView& w, bool accumulate);
// y[m,K] = x[m,N] w[N,K] (+ y)
void few_rows_nn(View<float, 2> y, View<const float, 2> x, const WeightView& w, bool accumulate);

}  // namespace hadal::cpu
