// plan/scaling.h: the same training on more and more GPUs. A layout is chosen for every number of
// them, since one that suits 2,048 GPUs may not divide over 16,384, or starve its pipelines.
//
// Strong scaling keeps the batch of a step; weak scaling lets it grow with the GPUs, so that every
// GPU keeps its work and only the batch, which learning may not like, changes.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "hadal/plan/plan.h"
#include "hadal/plan/sweep.h"

namespace hadal {

struct ScalingRequest {
  PlanRequest base;  // base.layout: fixed, only the replicas grow; empty: searched at every point
  std::vector<int64_t> gpus;
  bool weak = false;
};

struct ScalingStudy {
  SweepTable table;                  // one row per number of GPUs
  std::vector<std::string> layouts;  // of each row; the reason where there is none
};

// `progress` is told the number of GPUs that is being planned. ConfigError for a number that is not
// whole nodes.
ScalingStudy study_scaling(const ScalingRequest& request,
                           const std::function<void(int64_t)>& progress);
LineChart scaling_chart(const ScalingRequest& request, const ScalingStudy& study);

}  // namespace hadal
