// infer/draft_policy.h: from which source a request drafts in the next step, and how many tokens.
//
//   tokens per second = (1 + a_1 + a_1 a_2 + ...) / (seconds of a pass of 1 + n rows + drafting)
//
// The largest wins, no draft being one of the candidates; what drafts add to its seconds counts a tenth more. a_k: how often draft k of this source was
// kept in this request, if those before it were, of late. Seconds: infer/step_costs.h. In a batch the
// tokens and seconds are those of the whole step. The choice may depend on the clock, since drafts
// change no token (infer/speculative.h).
#pragma once

#include <array>

#include "hadal/infer/request.h"
#include "hadal/infer/step_costs.h"

namespace hadal {

enum class DraftSource { kNone, kMtp, kNgram };

struct DraftPlan {
  DraftSource source = DraftSource::kNone;
  int64_t n = 0;
};

// How often drafts of one source were kept, by their place. What was seen long ago counts less and
// less, so that a source that failed is tried again after a while.
class Acceptance {
 public:
  explicit Acceptance(double at_first) : at_first_(at_first) {}
  // `n` drafts were made and the first `kept` of them kept.
  void add(int64_t n, int64_t kept);
  void fade();  // a step of the request is over
  // Of n drafts so many are kept on average.
  double expected(int64_t n) const;

 private:
  double at_first_;
  std::array<double, kMaxDraftTokens> tried_{}, kept_{};
};

// A request's experience with its drafts. n-grams of 2 tokens stand before by chance where those of
// 4 do not.
struct DraftExperience {
  Acceptance mtp{0.8}, short_ngram{0.4}, long_ngram{0.7};
  Acceptance& of(DraftSource source, int64_t match_length) {
    if (source == DraftSource::kMtp) return mtp;
    return match_length > 2 ? long_ngram : short_ngram;
  }
  void fade();
};

// What a request could draft in this step, at most.
struct DraftOffer {
  int64_t n_mtp = 0, n_ngram = 0;
  int64_t match_length = 0;  // of the n-gram
};

// The step as far as it is planned.
struct PlannedStep {
  int64_t n_rows = 0;
  double tokens = 0;  // expected
  int64_t mtp_passes = 0;
};

// The best drafts of one request more, whose own row and token are in `step` already.
DraftPlan choose_drafts(const StepCosts& costs, const PlannedStep& step, const DraftOffer& offer,
                        DraftExperience& experience);
// As many as offered, whatever they cost: of n-grams where a long one matches, else of the modules.
DraftPlan all_drafts(const DraftOffer& offer);

}  // namespace hadal
