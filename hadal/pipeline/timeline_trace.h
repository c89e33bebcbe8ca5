// pipeline/timeline_trace.h: a simulated schedule as a trace for ui.perfetto.dev or chrome://tracing.
//
// Trace Event Format, JSON object form: the pipeline is a process, each rank a thread, each
// computation a complete event ("X"); a tensor that changes rank is an arrow ("s", "f") from the
// slice that made it to the slice that uses it, as long as there are at most kMaxArrows.
#pragma once

#include <cstdint>
#include <string>

#include "hadal/pipeline/simulator.h"

namespace hadal {

constexpr int64_t kMaxArrows = 50'000;

// One unit of time is shown as one millisecond; where that is too short or too long for whole
// nanoseconds the makespan becomes one second. `otherData` says which. REQUIRES the timeline.
std::string timeline_trace(const PipelineSchedule& schedule, const Simulation& simulation);

}  // namespace hadal
