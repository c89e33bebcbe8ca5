// ops/gemm_fp8.h: the three products of an FP8 linear on E4M3 codes (docs/precision.md, "Products").
//
//   C = sum over groups of 128 of the inner axis: (sum_{k in group} a_k b_k) * s_a * s_b
// One product of scales per group; f32 inside a group and across groups. Codes and scales come from
// ops/quantize.h: activations and gradients in 1x128 tiles, or 128x1 where the tokens are the inner
// axis; weights in 128x128 blocks. W [N,K] is stored [out, in].
#pragma once

#include "hadal/ops/quantize.h"

namespace hadal {

struct Fp8Operand {
  View<const f8e4m3, 2> codes;
  View<const float, 2> scales;
};

// y[T,N] = x[T,K] W[N,K]^T;  x in tiles along K: scales [T, ceil(K/128)]
void gemm_fp8_nt(Context& ctx, View<float, 2> y, const Fp8Operand& x, const Fp8Operand& w);
// dx[T,K] = dy[T,N] W[N,K];  dy in tiles along N: scales [T, ceil(N/128)]
void gemm_fp8_nn(Context& ctx, View<float, 2> dx, const Fp8Operand& dy, const Fp8Operand& w);
// dw[N,K] += dy[T,N]^T x[T,K];  both in tiles along T: scales [ceil(T/128), N] and [ceil(T/128), K]
void gemm_fp8_tn(Context& ctx, View<float, 2> dw, const Fp8Operand& dy, const Fp8Operand& x);

}  // namespace hadal
