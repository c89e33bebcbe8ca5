// ops/gemm.h: products with weight matrices W [N,K] stored [out, in]. F32 sums.
//
//   nt    y[T,N]  = x[T,K] W[N,K]^T + beta y
//   nn    dx[T,K] = dy[T,N] W[N,K] + beta dx
//   tn    dw[N,K] += dy[T,N]^T x[T,K]          accumulates, as every gradient does
//
// beta is 0 (overwrite) or 1 (add to what is there). A list of products is one parallel region: they
// have any shapes and share operands as they like, but no result is another's operand or overlaps
// another. Neither the number of threads nor the company in a list changes a bit.
//
// Weights with codes (docs/precision.md): in nt, 8- and 4-bit weights are multiplied by integer
// arithmetic, with x rounded to 8 bits in blocks of 32 along its rows. Scales of E4M3 blocks are
// multiplied into x, or dy, in F32; the two NaN codes count as +-480 (`hadal inspect --verify` finds
// them in a file). Where all values of both operands are of BF16 (is_bf16), BF16 is
// multiplied by BF16: the rule of summation is in kernels/cpu/bf16/bf16_gemm.h, the same for nt, nn and tn,
// and is followed to the same bits on every CPU.
//
// Batch invariance: a row of y or dx depends, in every bit, on its own row of x or dy and on the weight
// alone: not on the other rows or how many they are, nor on which kernel their number calls for.
// What an engine answers to one request, what a draft's verification sees and what a trainer computes
// for a token rest on it (docs/decisions/011-batch-invariance.md). gemm_tn sums over the rows.
#pragma once

#include <span>

#include "hadal/kernels/product.h"
#include "hadal/tensor/context.h"

namespace hadal {

void gemm_nt(Context& ctx, std::span<const Product> products);
void gemm_nn(Context& ctx, std::span<const Product> products);
void gemm_tn(Context& ctx, std::span<const WeightGradient> products);

// One product.
void gemm_nt(Context& ctx, View<float, 2> y, View<const float, 2> x, const WeightView& w,
             float beta = 0.0F);
void gemm_nn(Context& ctx, View<float, 2> dx, View<const float, 2> dy, const WeightView& w,
             float beta = 0.0F);
void gemm_tn(Context& ctx, View<float, 2> dw, View<const float, 2> dy, View<const float, 2> x);

}  // namespace hadal
