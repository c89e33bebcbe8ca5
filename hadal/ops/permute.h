// ops/permute.h: rows of tokens to rows of experts and back.
//
// R = T*K rows, grouped by expert, tokens ascending within an expert. Sums over a token's experts
// run in ascending expert id, so they do not depend on how experts are spread over ranks.
#pragma once

#include <span>
#include <vector>

#include "hadal/tensor/context.h"

namespace hadal {

struct ExpertRows {
  std::vector<int64_t> offsets;   // [E+1]: rows of expert e are [offsets[e], offsets[e+1])
  std::vector<int32_t> token_of;  // [R]
  std::vector<int32_t> row_of;    // [T*K]: row of token t's k-th expert (ascending id)
  static ExpertRows from(View<const int32_t, 2> indices, int64_t n_experts);
  int64_t n_rows() const { return static_cast<int64_t>(token_of.size()); }
};

// y[r] = x[token_of[r]]
void gather_rows(Context& ctx, View<float, 2> y, View<const float, 2> x, const ExpertRows& rows);
// dx[t] += sum_k dy[row_of[t,k]]
void gather_rows_backward(Context& ctx, View<float, 2> dx, View<const float, 2> dy,
                          const ExpertRows& rows);
// y[t] += sum_k gates[t,k] * x[row_of[t,k]]
void combine_rows(Context& ctx, View<float, 2> y, View<const float, 2> x,
                  View<const float, 2> gates, const ExpertRows& rows);
// Backward of the gates without the experts' outputs: with y_e = W_down h, the gradient of a
// gate is dy . y_e = (W_down^T dy) . h. So gather dy unscaled, multiply by W_down to get dh, then
//   h, dh are [R,F]:  dgates[t,k] = dot(dh[r], h[r]);  dh[r] *= gates[t,k],  r = row_of[t,k]
void gate_backward(Context& ctx, View<float, 2> dgates, View<float, 2> dh, View<const float, 2> h,
                   View<const float, 2> gates, const ExpertRows& rows);
// x[row_of[t,k]] *= gates[t,k]
void scale_rows_by_gate(Context& ctx, View<float, 2> x, View<const float, 2> gates,
                        const ExpertRows& rows);

}  // namespace hadal
