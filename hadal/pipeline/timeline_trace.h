// pipeline/timeline_trace.h: a schedule that was simulated, or ran, as a trace for ui.perfetto.dev or
// chrome://tracing.
//
// Trace Event Format, JSON object form: the pipeline is a process, each rank a thread, each
// computation a complete event ("X"); a tensor that changes rank is an arrow ("s", "f") from the
// slice that made it to the slice that uses it, as long as there are at most kMaxArrows.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hadal/pipeline/simulator.h"

namespace hadal {

constexpr int64_t kMaxArrows = 50'000;

// One unit of time is shown as one millisecond; where that is too short or too long for whole
// nanoseconds the makespan becomes one second. `otherData` says which. REQUIRES the timeline.
std::string timeline_trace(const PipelineSchedule& schedule, const Simulation& simulation);

// What lies within or between the computations of a rank: a wait.
struct TraceSlice {
  int32_t rank = 0;
  std::string name, category;
  double start = 0, end = 0;
};
struct TracedTimeline {
  std::string title;  // before the schedule's: "measured"
  const PipelineSchedule* schedule = nullptr;
  const Simulation* timeline = nullptr;
  std::vector<TraceSlice> beside = {};
};
// Several on one axis of seconds, a process each: what was measured, above what was predicted of it.
// Everything they point to outlives the call.
std::string timelines_trace(const std::vector<TracedTimeline>& timelines);

}  // namespace hadal
