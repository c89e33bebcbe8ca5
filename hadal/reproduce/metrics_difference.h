// reproduce/metrics_difference.h: where two runs of the same settings part.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hadal/core/json.h"

namespace hadal {

struct MetricsDifference {
  int64_t step = 0;
  std::string text;  // "train/loss 5.1, recorded 5.2"; empty: none
};

// The first line of `found` that is not as in `recorded`: every field but times, speeds and the run's
// name. A line that only one of them has is a difference, too.
MetricsDifference first_difference(const std::vector<Json>& recorded,
                                   const std::vector<Json>& found);

}  // namespace hadal
