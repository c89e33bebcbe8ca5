#include "hadal/infer/speculation_trial.h"

#include <algorithm>

namespace hadal {

double SpeculationTrial::Kind::tokens_per_s() const {
  std::vector<double> sorted = seconds;
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
  std::nth_element(sorted.begin(), middle, sorted.end());
  return static_cast<double>(tokens) / static_cast<double>(sorted.size()) / *middle;
}

void SpeculationTrial::add(int64_t tokens, double seconds) {
  if (decided()) return;
  if (steps_ % kBlockSteps != 0) {
    Kind& kind = wants_drafts() ? with_ : without_;
    kind.seconds.push_back(seconds);
    kind.tokens += tokens;
  }
  ++steps_;
  if (decided()) drafts_pay_ = with_.tokens_per_s() >= without_.tokens_per_s();
}

}  // namespace hadal
