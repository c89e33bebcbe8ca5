// train/run_opening.h: what a run says before its first step, and what it warns about: settings that
// are legal each and make no sense together.
#pragma once

#include <string>
#include <vector>

#include "hadal/data/dataset.h"
#include "hadal/train/run_plan.h"

namespace hadal {

// Model, data and plan: a line each.
std::vector<std::string> opening_lines(const ModelConfig& shape, const PreparedData& data,
                                       const RunPlan& plan, const TrainConfig& config);
// "about 4 min 05 s more, until 14:32", from a measured speed.
std::string expected_end(double seconds_left);

// A warm-up that the plan does not reach the end of; "" where there is none, or no plan yet.
std::string warmup_warning(const TrainConfig& config, const RunPlan& plan);
// Another plan than the checkpoint's moves the learning rate by more than a quarter at this step.
std::string plan_change_warning(const TrainConfig& config, int64_t planned_before,
                                const RunPlan& plan, const TrainingClock& now);

}  // namespace hadal
