// ops/rmsnorm.h: root-mean-square normalisation of every row.
//
//   y[t,i] = w[i] * n[t,i]    n[t,i] = x[t,i] * r[t]    r[t] = 1 / sqrt(mean_i x[t,i]^2 + eps)
//
// Source: arXiv:1910.07467 eq. (4). DeepSeek-V3 uses it on the residual stream (D = d_model) and on
// the latents c_q, c_kv (D = q_lora_rank, kv_lora_rank). T = tokens in the micro-batch.
#pragma once

#include "hadal/tensor/context.h"

namespace hadal {

// r is an output because backward needs it: T floats kept instead of T*D.
void rmsnorm_forward(Context& ctx, View<float, 2> y, View<float, 1> r,  // out: [T,D], [T]
                     View<const float, 2> x, View<const float, 1> w,    // in:  [T,D], [D]
                     float eps);

//   dx[t,i] = r[t] * (g[t,i] - n[t,i] * mean_j(g[t,j] * n[t,j])) + beta * dx[t,i],    g = w * dy
// beta is 0 or 1: with 1 the gradient of a residual branch joins the stream's in one pass.
// dx may be the same memory as dy when beta is 0.
void rmsnorm_backward_input(Context& ctx, View<float, 2> dx, View<const float, 2> dy,
                            View<const float, 2> x, View<const float, 1> w, View<const float, 1> r,
                            float beta = 0.0F);

//   dw[i] += sum_t dy[t,i] * n[t,i]
// Accumulates: micro-batches add up; the optimizer zeroes dw once per step.
void rmsnorm_backward_weight(Context& ctx, View<float, 1> dw, View<const float, 2> dy,
                             View<const float, 2> x, View<const float, 1> r);

// The input out of the output, where only that was kept:
//   x[t,i] = y[t,i] / (w[i] * r[t])        0 where w[i] is 0, which tells nothing
void rmsnorm_input(Context& ctx, View<float, 2> x, View<const float, 2> y, View<const float, 1> w,
                   View<const float, 1> r);

}  // namespace hadal
