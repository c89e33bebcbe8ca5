#include "hadal/kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace hadal::reference {
namespace {

// One head's keys and values, rows counted from the first row of the sequence.
template <class Real>
struct Head {
  View<const Real, 3> q, kv;
  View<const Real, 2> k_rope;
  int64_t h, d_rope, d_nope, d_v;

  Head(View<const Real, 3> q_, View<const Real, 3> kv_, View<const Real, 2> k_rope_, int64_t h_)
      : q(q_),
        kv(kv_),
        k_rope(k_rope_),
        h(h_),
        d_rope(k_rope_.dim(1)),
        d_nope(q_.dim(2) - d_rope),
        d_v(kv_.dim(2) - d_nope) {}

  double score(int64_t i, int64_t j, double scale) const {
    double sum = 0.0;
    for (int64_t d = 0; d < d_nope; ++d) sum += double{q(i, h, d)} * double{kv(j, h, d)};
    for (int64_t d = 0; d < d_rope; ++d) {
      sum += double{q(i, h, d_nope + d)} * double{k_rope(j, d)};
    }
    return scale * sum;
  }

  // o[i,h,:] over the first n_visible keys; returns log sum_j exp s.
  double attend(View<Real, 3> o, int64_t i, int64_t n_visible, double scale) const {
    std::vector<double> p(static_cast<size_t>(n_visible));
    double largest = -std::numeric_limits<double>::infinity();
    for (int64_t j = 0; j < n_visible; ++j) {
      p[static_cast<size_t>(j)] = score(i, j, scale);
      largest = std::max(largest, p[static_cast<size_t>(j)]);
    }
    double total = 0.0;
    for (double& value : p) total += value = std::exp(value - largest);
    for (int64_t d = 0; d < d_v; ++d) {
      double sum = 0.0;
      for (int64_t j = 0; j < n_visible; ++j) {
        sum += p[static_cast<size_t>(j)] * double{kv(j, h, d_nope + d)};
      }
      o(i, h, d) = static_cast<Real>(sum / total);
    }
    return largest + std::log(total);
  }
};

template <class Real>
View<double, 3> like(std::vector<double>& values, const View<Real, 3>& view) {
  values.assign(static_cast<size_t>(view.size()), 0.0);
  return View<double, 3>(values.data(), view.shape());
}

template <class Real>
void copy(View<Real, 3> to, const View<double, 3>& from) {
  for (int64_t t = 0; t < to.dim(0); ++t) {
    for (int64_t h = 0; h < to.dim(1); ++h) {
      for (int64_t d = 0; d < to.dim(2); ++d) to(t, h, d) = static_cast<Real>(from(t, h, d));
    }
  }
}

}  // namespace

template <class Real>
void attention_forward(View<Real, 3> o, View<Real, 2> lse, View<const Real, 3> q,
                       View<const Real, 3> kv, View<const Real, 2> k_rope,
                       std::span<const int64_t> offsets, Real scale) {
  for (size_t s = 0; s + 1 < offsets.size(); ++s) {
    const int64_t begin = offsets[s], end = offsets[s + 1];
    for (int64_t h = 0; h < q.dim(1); ++h) {
      const Head<Real> head(q.rows(begin, end), kv.rows(begin, end), k_rope.rows(begin, end), h);
      for (int64_t i = 0; i < end - begin; ++i) {
        const double log_sum = head.attend(o.rows(begin, end), i, i + 1, double{scale});
        lse(begin + i, h) = static_cast<Real>(log_sum);
      }
    }
  }
}

template <class Real>
void attention_forward_chunk(View<Real, 3> o, View<const Real, 3> q, View<const Real, 3> kv,
                             View<const Real, 2> k_rope, Real scale) {
  const int64_t n_before = kv.dim(0) - q.dim(0);
  for (int64_t h = 0; h < q.dim(1); ++h) {
    const Head<Real> head(q, kv, k_rope, h);
    for (int64_t i = 0; i < q.dim(0); ++i) head.attend(o, i, n_before + i + 1, double{scale});
  }
}

void attention_forward_part(View<float, 3> o, View<float, 3> state, View<const float, 3> q,
                            View<const float, 3> kv, View<const float, 2> k_rope, KeyPart part,
                            float scale) {
  const bool is_last = part.first + kv.dim(0) == part.n_all;
  for (int64_t h = 0; h < q.dim(1); ++h) {
    const Head<float> head(q, kv, k_rope, h);
    for (int64_t i = 0; i < q.dim(0); ++i) {
      const int64_t n_visible = std::min(part.n_all - q.dim(0) + i + 1 - part.first, kv.dim(0));
      double largest = part.first > 0 ? state(i, h, 0) : -std::numeric_limits<double>::infinity();
      double sum = part.first > 0 ? state(i, h, 1) : 0.0;
      std::vector<double> values(static_cast<size_t>(head.d_v), 0.0);
      for (int64_t d = 0; part.first > 0 && d < head.d_v; ++d) {
        values[static_cast<size_t>(d)] = o(i, h, d);
      }
      for (int64_t j = 0; j < n_visible; ++j) {
        const double score = head.score(i, j, double{scale}), before = largest;
        largest = std::max(largest, score);
        const double factor = std::exp(before - largest), p = std::exp(score - largest);
        sum = sum * factor + p;
        for (int64_t d = 0; d < head.d_v; ++d) {
          double& value = values[static_cast<size_t>(d)];
          value = value * factor + p * double{kv(j, h, head.d_nope + d)};
        }
      }
      for (int64_t d = 0; d < head.d_v; ++d) {
        o(i, h, d) = static_cast<float>(values[static_cast<size_t>(d)] / (is_last ? sum : 1.0));
      }
      if (is_last) continue;
      state(i, h, 0) = static_cast<float>(largest);
      state(i, h, 1) = static_cast<float>(sum);
    }
  }
}

//   p = exp(s - lse)   dv[j] += p do[i]   ds = scale p (do[i].v[j] - do[i].o[i])
//   dq[i] += ds k[j]   dk[j] += ds q[i]
template <class Real>
void attention_backward(View<Real, 3> dq, View<Real, 3> dkv, View<Real, 2> dk_rope,
                        View<const Real, 3> d_o, View<const Real, 3> q, View<const Real, 3> kv,
                        View<const Real, 2> k_rope, View<const Real, 3> o, View<const Real, 2> lse,
                        std::span<const int64_t> offsets, Real scale) {
  std::vector<double> dq_values, dkv_values;
  std::vector<double> dk_rope_values(static_cast<size_t>(dk_rope.size()), 0.0);
  const View<double, 3> dq_sum = like(dq_values, dq), dkv_sum = like(dkv_values, dkv);
  const View<double, 2> dk_rope_sum(dk_rope_values.data(), dk_rope.shape());
  for (size_t s = 0; s + 1 < offsets.size(); ++s) {
    for (int64_t h = 0; h < q.dim(1); ++h) {
      const Head<Real> head(q, kv, k_rope, h);
      for (int64_t i = offsets[s]; i < offsets[s + 1]; ++i) {
        double o_dot_do = 0.0;
        for (int64_t d = 0; d < head.d_v; ++d)
          o_dot_do += double{o(i, h, d)} * double{d_o(i, h, d)};
        for (int64_t j = offsets[s]; j <= i; ++j) {
          const double p = std::exp(head.score(i, j, double{scale}) - double{lse(i, h)});
          double dp = 0.0;
          for (int64_t d = 0; d < head.d_v; ++d) {
            dp += double{d_o(i, h, d)} * double{kv(j, h, head.d_nope + d)};
            dkv_sum(j, h, head.d_nope + d) += p * double{d_o(i, h, d)};
          }
          const double ds = double{scale} * p * (dp - o_dot_do);
          for (int64_t d = 0; d < head.d_nope; ++d) {
            dq_sum(i, h, d) += ds * double{kv(j, h, d)};
            dkv_sum(j, h, d) += ds * double{q(i, h, d)};
          }
          for (int64_t d = 0; d < head.d_rope; ++d) {
            dq_sum(i, h, head.d_nope + d) += ds * double{k_rope(j, d)};
            dk_rope_sum(j, d) += ds * double{q(i, h, head.d_nope + d)};
          }
        }
      }
    }
  }
  copy(dq, dq_sum);
  copy(dkv, dkv_sum);
  for (int64_t t = 0; t < dk_rope.dim(0); ++t) {
    for (int64_t d = 0; d < dk_rope.dim(1); ++d)
      dk_rope(t, d) = static_cast<Real>(dk_rope_sum(t, d));
  }
}

#define HADAL_INSTANTIATE(Real)                                                                   \
  template void attention_forward(View<Real, 3>, View<Real, 2>, View<const Real, 3>,              \
                                  View<const Real, 3>, View<const Real, 2>,                       \
                                  std::span<const int64_t>, Real);                                \
  template void attention_backward(View<Real, 3>, View<Real, 3>, View<Real, 2>,                   \
                                   View<const Real, 3>, View<const Real, 3>, View<const Real, 3>, \
                                   View<const Real, 2>, View<const Real, 3>, View<const Real, 2>, \
                                   std::span<const int64_t>, Real);                               \
  template void attention_forward_chunk(View<Real, 3>, View<const Real, 3>, View<const Real, 3>,  \
                                        View<const Real, 2>, Real);
HADAL_INSTANTIATE(float)
HADAL_INSTANTIATE(double)
#undef HADAL_INSTANTIATE

}  // namespace hadal::reference
