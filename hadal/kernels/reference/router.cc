#include "hadal/kernels/router.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace hadal::reference {
namespace {

// Marks the `k` largest among the allowed values, ties to the lower index. NaN never beats a
// number, so that k different indices come out whatever the values are.
template <class Real>
std::vector<bool> mark_largest(std::span<const Real> values, const std::vector<bool>& allowed,
                               int64_t k) {
  std::vector<bool> taken(values.size(), false);
  for (int64_t n = 0; n < k; ++n) {
    size_t best = values.size();
    for (size_t i = 0; i < values.size(); ++i) {
      if (!allowed[i] || taken[i]) continue;
      if (best == values.size() || values[i] > values[best] ||
          (std::isnan(values[best]) && !std::isnan(values[i]))) {
        best = i;
      }
    }
    if (best < values.size()) taken[best] = true;
  }
  return taken;
}

// Sum of the two largest choices of the group (noaux_tc), or the largest (group_limited_greedy).
template <class Real>
Real group_score(std::span<const Real> group, TopkMethod method) {
  std::vector<Real> sorted(group.begin(), group.end());
  std::sort(sorted.begin(), sorted.end(), [](Real a, Real b) { return a > b; });
  if (method == TopkMethod::kNoauxTc && sorted.size() > 1) return sorted[0] + sorted[1];
  return sorted[0];
}

template <class Real>
std::vector<bool> allowed_experts(std::span<const Real> choice, const RouterConfig& config) {
  std::vector<bool> allowed(choice.size(), true);
  if (config.method == TopkMethod::kGreedy || config.n_group == 1) return allowed;
  const size_t n_group = static_cast<size_t>(config.n_group);
  const size_t group_size = choice.size() / n_group;
  std::vector<Real> scores;
  for (size_t g = 0; g < n_group; ++g) {
    scores.push_back(group_score(choice.subspan(g * group_size, group_size), config.method));
  }
  const std::vector<bool> kept =
      mark_largest<Real>(scores, std::vector<bool>(n_group, true), config.topk_group);
  for (size_t e = 0; e < choice.size(); ++e) allowed[e] = kept[e / group_size];
  return allowed;
}

}  // namespace

template <class Real>
void router_scores(View<Real, 2> scores, View<const Real, 2> logits,
                   ScoringFunction scoring) noexcept {
  const auto [T, E] = logits.shape();
  for (int64_t t = 0; t < T; ++t) {
    double largest = logits(t, 0), sum = 0;
    for (int64_t e = 0; e < E; ++e) largest = std::max<double>(largest, logits(t, e));
    for (int64_t e = 0; e < E; ++e) sum += std::exp(logits(t, e) - largest);
    for (int64_t e = 0; e < E; ++e) {
      scores(t, e) = static_cast<Real>(scoring == ScoringFunction::kSigmoid
                                           ? 1.0 / (1.0 + std::exp(-double{logits(t, e)}))
                                           : std::exp(logits(t, e) - largest) / sum);
    }
  }
}

template <class Real>
void router_choose(View<int32_t, 2> indices, View<const Real, 2> scores, View<const Real, 1> bias,
                   const RouterConfig& config) noexcept {
  const auto [T, E] = scores.shape();
  std::vector<Real> choice(static_cast<size_t>(E));
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t e = 0; e < E; ++e) {
      choice[static_cast<size_t>(e)] =
          config.method == TopkMethod::kNoauxTc ? scores(t, e) + bias(e) : scores(t, e);
    }
    const std::vector<bool> chosen =
        mark_largest<Real>(choice, allowed_experts<Real>(choice, config), config.top_k);
    int64_t k = 0;
    for (int64_t e = 0; e < E; ++e) {
      if (chosen[static_cast<size_t>(e)]) indices(t, k++) = static_cast<int32_t>(e);
    }
  }
}

template <class Real>
void router_gates(View<Real, 2> gates, View<const Real, 2> scores, View<const int32_t, 2> indices,
                  const RouterConfig& config) noexcept {
  const auto [T, K] = indices.shape();
  for (int64_t t = 0; t < T; ++t) {
    double sum = 0;
    for (int64_t k = 0; k < K; ++k) sum += scores(t, indices(t, k));
    const double factor = config.norm_topk_prob
                              ? double{config.routed_scaling_factor} / (sum + 1e-20)
                              : double{config.routed_scaling_factor};
    for (int64_t k = 0; k < K; ++k) {
      gates(t, k) = static_cast<Real>(scores(t, indices(t, k)) * factor);
    }
  }
}

template <class Real>
void route_backward(View<Real, 2> dlogits, View<const Real, 2> dgates,
                    View<const Real, 2> dscores_extra, View<const Real, 2> scores,
                    View<const int32_t, 2> indices, const RouterConfig& config) noexcept {
  const auto [T, E] = scores.shape();
  const int64_t K = indices.dim(1);
  const double rho = config.routed_scaling_factor;
  std::vector<double> dscores(static_cast<size_t>(E));
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t e = 0; e < E; ++e) {
      dscores[static_cast<size_t>(e)] = dscores_extra.data() ? double{dscores_extra(t, e)} : 0.0;
    }
    double sum = 0, dgate_dot_score = 0;
    for (int64_t k = 0; k < K; ++k) {
      sum += scores(t, indices(t, k));
      dgate_dot_score += double{dgates(t, k)} * scores(t, indices(t, k));
    }
    const double n = sum + 1e-20;
    for (int64_t k = 0; k < K; ++k) {
      dscores[static_cast<size_t>(indices(t, k))] +=
          config.norm_topk_prob ? rho / n * (dgates(t, k) - dgate_dot_score / n)
                                : rho * dgates(t, k);
    }
    double dscore_dot_score = 0;
    for (int64_t e = 0; e < E; ++e) {
      dscore_dot_score += dscores[static_cast<size_t>(e)] * scores(t, e);
    }
    for (int64_t e = 0; e < E; ++e) {
      const double s = scores(t, e), ds = dscores[static_cast<size_t>(e)];
      dlogits(t, e) = static_cast<Real>(config.scoring == ScoringFunction::kSigmoid
                                            ? ds * s * (1.0 - s)
                                            : s * (ds - dscore_dot_score));
    }
  }
}

template <class Real>
double sequence_balance_loss(View<Real, 2> dscores, View<const Real, 2> scores,
                             View<const int32_t, 2> indices,
                             std::span<const int64_t> sequence_offsets, double alpha,
                             double loss_scale, BalanceCount count, int64_t top_k) {
  const int64_t E = scores.dim(1);
  const double n_sequences = static_cast<double>(sequence_offsets.size() - 1);
  double loss = 0;
  for (size_t s = 0; s + 1 < sequence_offsets.size(); ++s) {
    const int64_t begin = sequence_offsets[s], end = sequence_offsets[s + 1];
    if (begin == end) continue;
    const double length = static_cast<double>(end - begin);
    std::vector<double> f(static_cast<size_t>(E)), p(static_cast<size_t>(E));
    for (int64_t t = begin; t < end; ++t) {
      double sum = 0;
      for (int64_t e = 0; e < E; ++e) sum += scores(t, e);
      for (int64_t e = 0; e < E; ++e) {
        p[static_cast<size_t>(e)] += scores(t, e) / (sum + 1e-20) / length;
      }
      if (count == BalanceCount::kChosen) {
        for (int64_t k = 0; k < top_k; ++k) f[static_cast<size_t>(indices(t, k))] += 1;
      } else {
        const std::vector<bool> top = mark_largest<Real>(
            scores.row(t), std::vector<bool>(static_cast<size_t>(E), true), top_k);
        for (size_t e = 0; e < top.size(); ++e) f[e] += top[e] ? 1 : 0;
      }
    }
    for (double& value : f) {
      value *= static_cast<double>(E) / (static_cast<double>(top_k) * length);
    }
    for (size_t e = 0; e < f.size(); ++e) loss += alpha * f[e] * p[e] / n_sequences;
    if (!dscores.data()) continue;
    // P_e = mean_t s_e / n with n = sum_j s_j:  dP_e/ds_j = ([e == j] - s_e / n) / (n L)
    for (int64_t t = begin; t < end; ++t) {
      double n = 1e-20, f_dot_s = 0;
      for (int64_t e = 0; e < E; ++e) {
        n += scores(t, e);
        f_dot_s += f[static_cast<size_t>(e)] * scores(t, e);
      }
      const double factor = loss_scale * alpha / (n_sequences * length * n);
      for (int64_t e = 0; e < E; ++e) {
        dscores(t, e) += static_cast<Real>(factor * (f[static_cast<size_t>(e)] - f_dot_s / n));
      }
    }
  }
  return loss;
}

#define HADAL_INSTANTIATE(Real)                                                                    \
  template void router_scores<Real>(View<Real, 2>, View<const Real, 2>, ScoringFunction) noexcept; \
  template void router_choose<Real>(View<int32_t, 2>, View<const Real, 2>, View<const Real, 1>,    \
                                    const RouterConfig&) noexcept;                                 \
  template void router_gates<Real>(View<Real, 2>, View<const Real, 2>, View<const int32_t, 2>,     \
                                   const RouterConfig&) noexcept;                                  \
  template void route_backward<Real>(View<Real, 2>, View<const Real, 2>, View<const Real, 2>,      \
                                     View<const Real, 2>, View<const int32_t, 2>,                  \
                                     const RouterConfig&) noexcept;                                \
  template double sequence_balance_loss<Real>(View<Real, 2>, View<const Real, 2>,                  \
                                              View<const int32_t, 2>, std::span<const int64_t>,    \
                                              double, double, BalanceCount, int64_t);
HADAL_INSTANTIATE(float)
HADAL_INSTANTIATE(double)
#undef HADAL_INSTANTIATE

}  // namespace hadal::reference
