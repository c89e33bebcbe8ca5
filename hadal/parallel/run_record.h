// parallel/run_record.h: the traces of whole training steps of all ranks, as a value and a JSON file.
#pragma once

#include <string>
#include <vector>

#include "hadal/core/json.h"
#include "hadal/parallel/run_trace.h"

namespace hadal {

struct RecordedStep {
  int64_t step = 0;
  bool overlap = true;          // false: no communication behind a computation, on purpose
  std::vector<RunTrace> ranks;  // of the world
};

struct RunRecord {
  PipelineSchedule schedule;
  int32_t data = 1;        // replicas: world rank = place * data + replica
  double clock_error = 0;  // at most so many seconds between two ranks' clocks
  std::vector<RecordedStep> steps;

  // Of one step: the ranks of a replica's pipeline, in order of place.
  std::vector<RunTrace> pipeline(size_t step, int32_t replica) const;
};

Json trace_json(const RunTrace& trace);
RunTrace trace_from(const Json& json);  // FormatError
Json record_json(const RunRecord& record);
RunRecord read_run_record(const std::string& path);  // FormatError naming the file

}  // namespace hadal
