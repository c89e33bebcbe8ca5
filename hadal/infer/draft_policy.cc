#include "hadal/infer/draft_policy.h"

#include <algorithm>

namespace hadal {
namespace {

constexpr double kFade = 0.98;  // a step ago counts so much of now: a hundred steps ago 13 %

// What drafts cost counts so much more than was measured: among other work times are rough, and what seems
// to gain a few per cent loses them as often.
constexpr double kCaution = 1.1;

}  // namespace

void Acceptance::add(int64_t n, int64_t kept) {
  for (int64_t k = 0; k < std::min(n, kept + 1); ++k) {
    tried_[static_cast<size_t>(k)] += 1.0;
    if (k < kept) kept_[static_cast<size_t>(k)] += 1.0;
  }
}

void Acceptance::fade() {
  for (double& count : tried_) count *= kFade;
  for (double& count : kept_) count *= kFade;
}

// A place of which nothing is known yet is as good as the one before it.
double Acceptance::expected(int64_t n) const {
  double sum = 0.0, all_kept = 1.0, rate = at_first_;
  for (size_t k = 0; k < static_cast<size_t>(n); ++k) {
    rate = (kept_[k] + rate) / (tried_[k] + 1.0);
    all_kept *= rate;
    sum += all_kept;
  }
  return sum;
}

void DraftExperience::fade() {
  mtp.fade();
  short_ngram.fade();
  long_ngram.fade();
}

DraftPlan choose_drafts(const StepCosts& costs, const PlannedStep& step, const DraftOffer& offer,
                        DraftExperience& experience) {
  const auto seconds = [&](const DraftPlan& plan) -> std::optional<double> {
    const std::optional<double> pass = costs.pass_seconds(step.n_rows + plan.n);
    if (!pass || *pass <= 0.0) return std::nullopt;
    const int64_t mtp_passes =
        plan.source == DraftSource::kMtp ? std::max(step.mtp_passes, plan.n) : step.mtp_passes;
    return *pass + static_cast<double>(mtp_passes) * costs.mtp_pass_seconds();
  };
  DraftPlan best;
  const std::optional<double> plain = seconds(best);
  if (!plain) return best;  // measure plain steps first
  const auto tokens_per_s = [&](const DraftPlan& plan, double kept) {
    const std::optional<double> all = seconds(plan);
    if (!all) return 0.0;
    return (step.tokens + kept) / (*plain + kCaution * std::max(0.0, *all - *plain));
  };
  double best_rate = tokens_per_s(best, 0.0);
  for (const auto& [source, most] :
       {std::pair{DraftSource::kNgram, offer.n_ngram}, std::pair{DraftSource::kMtp, offer.n_mtp}}) {
    for (int64_t n = 1; n <= most; ++n) {
      const DraftPlan plan{source, n};
      const double rate = tokens_per_s(plan, experience.of(source, offer.match_length).expected(n));
      if (rate > best_rate) {
        best = plan;
        best_rate = rate;
      }
    }
  }
  return best;
}

DraftPlan all_drafts(const DraftOffer& offer) {
  const bool ngram = offer.n_ngram > 0 && (offer.match_length > 2 || offer.n_mtp == 0);
  if (ngram) return {DraftSource::kNgram, offer.n_ngram};
  if (offer.n_mtp > 0) return {DraftSource::kMtp, offer.n_mtp};
  return {};
}

}  // namespace hadal
