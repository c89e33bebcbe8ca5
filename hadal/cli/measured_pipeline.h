// cli/measured_pipeline.h: `hadal pipeline --measured`: the record of a run's steps (parallel.trace), beside
// what the simulator says of the same times.
#pragma once

#include <optional>
#include <string>

#include "hadal/command/command.h"
#include "hadal/draw/time_scale.h"

namespace hadal::cli {

struct MeasuredPipeline {
  std::string record;      // file
  std::string svg, trace;  // files to write, or empty
  std::optional<TimeWindow> zoom;
};
int show_measured(const MeasuredPipeline& what, Output& out);

}  // namespace hadal::cli
