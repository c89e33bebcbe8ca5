#include "hadal/reproduce/verdict.h"

#include <algorithm>
#include <cmath>

namespace hadal {
namespace {

// Figure of `variant` by seed, the runs in another order of summation left out.
std::map<int64_t, double> by_seed(const std::vector<Outcome>& outcomes, const std::string& variant,
                                  const std::string& figure) {
  std::map<int64_t, double> values;
  for (const Outcome& each : outcomes) {
    if (each.variant != variant || each.other_order) continue;
    const auto found = each.figures.find(figure);
    if (found != each.figures.end()) values[each.seed] = found->second;
  }
  return values;
}

Spread spread_over(const std::map<int64_t, double>& values) {
  if (values.empty()) return {};
  Spread spread{0, values.begin()->second, values.begin()->second,
                static_cast<int64_t>(values.size())};
  for (const auto& [seed, value] : values) {
    spread.mean += value / static_cast<double>(values.size());
    spread.low = std::min(spread.low, value);
    spread.high = std::max(spread.high, value);
  }
  return spread;
}

// Largest difference between a run and the same seed's in another order of summation.
double order_noise(const Claim& claim, const std::vector<Outcome>& outcomes) {
  double largest = 0.0;
  for (const Outcome& again : outcomes) {
    if (!again.other_order || !again.figures.contains(claim.figure)) continue;
    const std::map<int64_t, double> first = by_seed(outcomes, again.variant, claim.figure);
    if (const auto found = first.find(again.seed); found != first.end()) {
      largest = std::max(largest, std::abs(again.figures.at(claim.figure) - found->second));
    }
  }
  return largest;
}

Verdict judge(const Claim& claim, const ComparedVariants& c) {
  if (claim.within > 0) {
    const double allowed = claim.within * std::abs(c.baseline.mean);
    if (std::max(std::abs(c.gap_low), std::abs(c.gap_high)) <= allowed) return Verdict::kShows;
    return std::abs(c.gap) > std::max(allowed, c.floor()) ? Verdict::kDoesNotShow
                                                          : Verdict::kNotDistinguishable;
  }
  if (!(std::abs(c.gap) > c.floor())) return Verdict::kNotDistinguishable;
  const double better = claim.higher ? c.variant.mean : c.baseline.mean;
  const double worse = claim.higher ? c.baseline.mean : c.variant.mean;
  const bool holds = better > worse && better >= claim.factor * worse;
  return holds ? Verdict::kShows : Verdict::kDoesNotShow;
}

}  // namespace

std::string verdict_text(Verdict verdict) {
  switch (verdict) {
    case Verdict::kShows:
      return "shows";
    case Verdict::kDoesNotShow:
      return "does not show";
    case Verdict::kNotDistinguishable:
      return "not distinguishable";
  }
  return "";
}

Spread spread_of(const std::vector<Outcome>& outcomes, const std::string& variant,
                 const std::string& figure) {
  return spread_over(by_seed(outcomes, variant, figure));
}

ComparedVariants compare_outcomes(const Claim& claim, const std::vector<Outcome>& outcomes) {
  const std::map<int64_t, double> variant = by_seed(outcomes, claim.variant, claim.figure);
  const std::map<int64_t, double> baseline = by_seed(outcomes, claim.baseline, claim.figure);
  std::map<int64_t, double> gaps;
  for (const auto& [seed, value] : variant) gaps[seed] = value - baseline.at(seed);
  ComparedVariants c;
  c.variant = spread_over(variant);
  c.baseline = spread_over(baseline);
  const Spread gap = spread_over(gaps);
  c.gap = gap.mean;
  c.gap_low = gap.low;
  c.gap_high = gap.high;
  c.floor_seeds = std::max(c.variant.high - c.variant.low, c.baseline.high - c.baseline.low);
  c.floor_order = order_noise(claim, outcomes);
  c.verdict = judge(claim, c);
  return c;
}

Verdict overall(const std::vector<ComparedVariants>& comparisons) {
  Verdict all = Verdict::kShows;
  for (const ComparedVariants& each : comparisons) {
    if (each.verdict == Verdict::kDoesNotShow) return Verdict::kDoesNotShow;
    if (each.verdict == Verdict::kNotDistinguishable) all = Verdict::kNotDistinguishable;
  }
  return all;
}

}  // namespace hadal
