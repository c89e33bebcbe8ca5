#include "tests/support/attention_terms.h"

#include <algorithm>
#include <cmath>

namespace hadal::test {
namespace {

double largest(std::span<const float> row) {
  double result = 0.0;
  for (const float value : row) result = std::max(result, std::abs(double{value}));
  return result;
}

}  // namespace

AttentionTerms::AttentionTerms(View<const float, 3> q, View<const float, 3> kv,
                               View<const float, 2> k_rope, View<const float, 3> d_o,
                               std::span<const int64_t> offsets, const AttentionDims& dims,
                               double scale) {
  const int64_t H = dims.n_heads, d_n = dims.d_nope;
  dq.assign(static_cast<size_t>(q.dim(0) * H), 0.0);
  dk_rope.assign(static_cast<size_t>(q.dim(0)), 0.0);
  for (size_t s = 0; s + 1 < offsets.size(); ++s) {
    for (int64_t t = offsets[s]; t < offsets[s + 1]; ++t) {
      for (int64_t h = 0; h < H; ++h) {
        std::vector<double> p, dp_size;
        double top = -HUGE_VAL, sum = 0.0, mean = 0.0;
        for (int64_t k = offsets[s]; k <= t; ++k) {
          double score = 0.0, size = 0.0;
          for (int64_t i = 0; i < d_n; ++i) score += double{q(t, h, i)} * double{kv(k, h, i)};
          for (int64_t i = 0; i < dims.d_rope; ++i) {
            score += double{q(t, h, d_n + i)} * double{k_rope(k, i)};
          }
          for (int64_t i = 0; i < dims.d_v; ++i) {
            size += std::abs(double{d_o(t, h, i)} * double{kv(k, h, d_n + i)});
          }
          p.push_back(score * scale);
          dp_size.push_back(size);
          top = std::max(top, p.back());
        }
        for (double& each : p) sum += each = std::exp(each - top);
        for (size_t k = 0; k < p.size(); ++k) mean += (p[k] /= sum) * dp_size[k];
        for (size_t k = 0; k < p.size(); ++k) {
          const int64_t key = offsets[s] + static_cast<int64_t>(k);
          const double ds = scale * p[k] * (dp_size[k] + mean);
          double k_largest = 0.0, q_largest = 0.0;
          for (int64_t i = 0; i < d_n; ++i) {
            k_largest = std::max(k_largest, std::abs(double{kv(key, h, i)}));
          }
          for (int64_t i = 0; i < dims.d_rope; ++i) {
            q_largest = std::max(q_largest, std::abs(double{q(t, h, d_n + i)}));
          }
          k_largest = std::max(k_largest, largest(k_rope.row(key)));
          dq[static_cast<size_t>(t * H + h)] += ds * k_largest;
          dk_rope[static_cast<size_t>(key)] += ds * q_largest;
        }
      }
    }
  }
}

}  // namespace hadal::test
