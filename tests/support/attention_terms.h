// tests/support/attention_terms.h: what the gradients of attention are differences of.
//
//   ds[t,k] = p[t,k] (dp[t,k] - D[t])    dp[t,k] = d_o[t] . v[k]    D[t] = sum_k p[t,k] dp[t,k]
//
// A query that sees one key has p = 1 and dp = D: its ds is 0, and so are dq and its part of dk, but
// only up to the rounding of the two terms. So the scale of a row of dq or dk_rope is the sum of
// p (|dp| + |D|) times the largest element of what ds is multiplied with.
#pragma once

#include <span>
#include <vector>

#include "hadal/ops/attention.h"

namespace hadal::test {

struct AttentionTerms {
  std::vector<double> dq;       // of each token and head
  std::vector<double> dk_rope;  // of each token
  AttentionTerms(View<const float, 3> q, View<const float, 3> kv, View<const float, 2> k_rope,
                 View<const float, 3> d_o, std::span<const int64_t> offsets,
                 const AttentionDims& dims, double scale);
};

}  // namespace hadal::test
