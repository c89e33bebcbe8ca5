#include "hadal/kernels/kl_divergence.h"

#include <algorithm>
#include <cmath>

namespace hadal::reference {
namespace {

// log sum_v exp x[v]
double log_sum_exp(std::span<const float> x) {
  const double largest = *std::ranges::max_element(x);
  double sum = 0.0;
  for (const float value : x) sum += std::exp(double{value} - largest);
  return largest + std::log(sum);
}

}  // namespace

void kl_divergence(View<float, 1> kl, View<const float, 2> logits_p,
                   View<const float, 2> logits_q) noexcept {
  const auto [T, V] = logits_p.shape();
  for (int64_t t = 0; t < T; ++t) {
    if (V == 0) {
      kl(t) = 0.0F;
      continue;
    }
    const double norm_p = log_sum_exp(logits_p.row(t)), norm_q = log_sum_exp(logits_q.row(t));
    double sum = 0.0;
    for (int64_t v = 0; v < V; ++v) {
      const double log_p = double{logits_p(t, v)} - norm_p, log_q = double{logits_q(t, v)} - norm_q;
      sum += std::exp(log_p) * (log_p - log_q);
    }
    // Rounding may leave equal rows a little below zero; a NaN stays one.
    kl(t) = static_cast<float>(sum < 0.0 ? 0.0 : sum);
  }
}

}  // namespace hadal::reference
