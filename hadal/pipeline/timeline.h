// pipeline/timeline.h: simulated schedules as a timeline for people (draw/timeline.h): one row
// per rank, one kind per computation (F, B, B_in as I, W; an overlapped pair is F above B), a tone
// per module of the rank, the micro-batch as the number.
#pragma once

#include <string>
#include <vector>

#include "hadal/draw/timeline.h"
#include "hadal/pipeline/simulator.h"

namespace hadal {

struct SimulatedSchedule {
  const PipelineSchedule* schedule = nullptr;
  const Simulation* simulation = nullptr;  // REQUIRES its timeline
};

// `times` is for the subtitle: "F 1, B 2 (B_in 1 + W 1)". Several schedules become panels under
// each other. REQUIRES at least one, and that they live as long as the timeline.
TimelineChart pipeline_timeline(const std::vector<SimulatedSchedule>& schedules,
                                const std::string& times = "");

}  // namespace hadal
