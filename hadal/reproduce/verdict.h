// reproduce/verdict.h: does a claim show in what was measured, or is the difference within the noise?
//
//   gap    mean over the seeds of the variant's figure less the baseline's, of the same seed
//   floor  what the figure differs by where nothing was changed but chance:
//            seeds  largest difference between two seeds of one variant, of the two that are compared
//            order  between two runs of one seed whose gradients were summed in another order
//          the larger of them. A gap that is not above it says nothing.
//
// That two are the same within a bound shows where no seed's gap is above the bound, and does not show where
// the mean gap is above the bound and the floor.
#pragma once

#include <string>
#include <vector>

#include "hadal/reproduce/experiment.h"

namespace hadal {

enum class Verdict { kShows, kDoesNotShow, kNotDistinguishable };
std::string verdict_text(Verdict verdict);  // "shows", "does not show", "not distinguishable"

// Of one figure of one variant over the seeds.
struct Spread {
  double mean = 0, low = 0, high = 0;
  int64_t seeds = 0;
};
Spread spread_of(const std::vector<Outcome>& outcomes, const std::string& variant,
                 const std::string& figure);

struct ComparedVariants {
  Spread variant, baseline;
  double gap = 0, gap_low = 0, gap_high = 0;
  double floor_seeds = 0, floor_order = 0;
  Verdict verdict = Verdict::kNotDistinguishable;
  double floor() const { return floor_seeds > floor_order ? floor_seeds : floor_order; }
};
// REQUIRES an outcome with the claim's figure of both variants for every seed.
ComparedVariants compare_outcomes(const Claim& claim, const std::vector<Outcome>& outcomes);

// Of all claims together: one that does not show decides, then one that cannot be told.
Verdict overall(const std::vector<ComparedVariants>& comparisons);

}  // namespace hadal
