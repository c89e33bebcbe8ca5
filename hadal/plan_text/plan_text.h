// plan_text/plan_text.h: a plan as tables for people. `option_of`: Output::option_of.
#pragma once

#include <string>

#include "hadal/plan/plan.h"

namespace hadal::cli {

std::string plan_text(const PlanRequest& request, const Plan& plan, const NameOf& option_of);
std::string all_cells_text(const Worksheet& sheet);  // --cells
std::string search_text(const LayoutSearch& search, size_t n_best, const NameOf& option_of);

}  // namespace hadal::cli
