// plan_text/sweep_text.h: a sweep as a table for people.
#pragma once

#include <string>
#include <vector>

#include "hadal/plan/sweep.h"

namespace hadal::cli {

// Aligned, each number in its unit's own habits; `remarks`: none, or one a row, at its end.
std::string sweep_text(const SweepTable& table, const std::vector<std::string>& remarks = {});

}  // namespace hadal::cli
