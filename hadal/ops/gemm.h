// ops/gemm.h: products with a weight matrix W [N,K] stored [out, in]. F32 sums.
//
// beta is 0 (overwrite) or 1 (add to what is there). The number of threads changes no result.
//
// Batch invariance: a row of y or dx depends, in every bit, on its own row of x or dy and on the weight
// alone: not on the other rows or how many they are, nor on which kernel their number calls for.
// What an engine answers to one request, what a draft's verification sees and what a trainer computes
// for a token rest on it (docs/decisions/011-batch-invariance.md). gemm_tn sums over the rows.
#pragma once

#include "hadal/tensor/context.h"
#include "hadal/tensor/weight_view.h"

namespace hadal {

// y[T,N] = x[T,K] W[N,K]^T + beta y
void gemm_nt(Context& ctx, View<float, 2> y, View<const float, 2> x, const WeightView& w,
             float beta = 0.0F);
// dx[T,K] = dy[T,N] W[N,K] + beta dx
void gemm_nn(Context& ctx, View<float, 2> dx, View<const float, 2> dy, const WeightView& w,
             float beta = 0.0F);
// dw[N,K] += dy[T,N]^T x[T,K]: accumulates, as every gradient does.
void gemm_tn(Context& ctx, View<float, 2> dw, View<const float, 2> dy, View<const float, 2> x);

}  // namespace hadal
