// ops/permute.h: rows of tokens to rows of experts and back.
//
// Rows are grouped by expert, tokens ascending within an expert. Sums over a token's experts run in
// ascending expert id, so they do not depend on how experts are spread over ranks.
#pragma once

#include <span>
#include <vector>

#include "hadal/tensor/context.h"

namespace hadal {

struct ExpertRange {  // experts [first, last)
  int64_t first = 0, last = 0;
  int64_t size() const { return last - first; }
};

// The rows that a range of experts gets: R = T*K of them when the range holds all experts.
struct ExpertRows {
  std::vector<int64_t> offsets;  // [range + 1]: rows of its e-th expert: [offsets[e], offsets[e+1])
  std::vector<int32_t> token_of;  // [R]
  std::vector<int32_t> row_of;  // [T*K]: row of token t's k-th expert (ascending id); -1: elsewhere
  int64_t n_tokens = 0, top_k = 0;
  static ExpertRows from(View<const int32_t, 2> indices, ExpertRange experts);
  int64_t n_rows() const { return static_cast<int64_t>(token_of.size()); }
};
// [E] How many tokens chose each expert.
std::vector<int64_t> expert_load(View<const int32_t, 2> indices, int64_t n_experts);

// y[r] = x[token_of[r]]
void gather_rows(Context& ctx, View<float, 2> y, View<const float, 2> x, const ExpertRows& rows);
// dx[t] += sum_k dy[row_of[t,k]]
void gather_rows_backward(Context& ctx, View<float, 2> dx, View<const float, 2> dy,
                          const ExpertRows& rows);
// y[t] += sum_k gates[t,k] * x[row_of[t,k]]
void combine_rows(Context& ctx, View<float, 2> y, View<const float, 2> x,
                  View<const float, 2> gates, const ExpertRows& rows);
// One number a choice to the row it belongs to, and back (0 for choices elsewhere).
//   rows[row_of[t,k]] = choices[t,k]        choices[t,k] = rows[row_of[t,k]]
void choices_to_rows(Context& ctx, View<float, 1> rows, View<const float, 2> choices,
                     const ExpertRows& where);
void rows_to_choices(Context& ctx, View<float, 2> choices, View<const float, 1> rows,
                     const ExpertRows& where);
// Backward of the gates without the experts' outputs: with y_e = W_down h, the gradient of a
// gate is dy . y_e = (W_down^T dy) . h. So gather dy unscaled, multiply by W_down to get dh, then
//   h, dh are [R,F], gates [R]:  dgates[r] = dot(dh[r], h[r]);  dh[r] *= gates[r]
void gate_backward(Context& ctx, View<float, 1> dgates, View<float, 2> dh, View<const float, 2> h,
                   View<const float, 1> gates);
// x[r] *= factors[r]
void scale_rows(Context& ctx, View<float, 2> x, View<const float, 1> factors);

}  // namespace hadal
