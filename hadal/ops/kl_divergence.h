// ops/kl_divergence.h: how far one distribution of the next token is from another, row by row.
//
//   kl[t] = sum_v p[t,v] (log p[t,v] - log q[t,v])    p, q = softmax of logits_p, logits_q [T,V]
// In nats, never negative. Sums in f64.
#pragma once

#include "hadal/tensor/context.h"

namespace hadal {

void kl_divergence(Context& ctx, View<float, 1> kl, View<const float, 2> logits_p,
                   View<const float, 2> logits_q);

}  // namespace hadal
