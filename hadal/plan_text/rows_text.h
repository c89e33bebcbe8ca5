// plan_text/rows_text.h: published throughput beside what plans say to it; used by cmd_plan_rows.
#pragma once

#include <string>
#include <vector>

#include "hadal/plan/published_rows.h"

namespace hadal::cli {

std::string rows_text(const std::vector<RowPrediction>& predictions);
Json rows_json(const std::vector<RowPrediction>& predictions);

}  // namespace hadal::cli
