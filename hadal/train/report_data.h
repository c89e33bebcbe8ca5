// train/report_data.h: the metrics of a run, thinned to what a page can draw.
#pragma once

#include <string>
#include <vector>

#include "hadal/core/json.h"

namespace hadal {

// {"train": {"step": [...], "train/loss": [...], ...}, "val": {...}, "load": {...}}
//
// train: series of at most `max_points` points; each point is the mean of the steps it stands for.
// val:   every evaluation.
// load:  steps [c], layers [{layer, experts: [c][expert] load / mean load}], at most max_columns
//        columns, chosen evenly.
Json report_data(const std::vector<Json>& lines, int64_t max_points = 600,
                 int64_t max_columns = 120);

}  // namespace hadal
