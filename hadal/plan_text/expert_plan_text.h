// plan_text/expert_plan_text.h: a placement of experts as tables; used by cmd_plan_experts.
#pragma once

#include <string>

#include "hadal/plan/expert_plan.h"

namespace hadal::cli {

std::string expert_plan_text(const ExpertPlan& plan);

}  // namespace hadal::cli
