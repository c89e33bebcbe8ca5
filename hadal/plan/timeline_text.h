// plan/timeline_text.h: a small timeline for a terminal, one line per rank.
#pragma once

#include <string>

#include "hadal/plan/pipeline_simulator.h"

namespace hadal {

// F, B, I (B_in), W and X (F&B), in small letters for a rank's second stage; with `colour` boxes in
// the colours of timeline_svg. Empty when the lines would not fit into `columns` with at least one
// character for every computation. REQUIRES the timeline.
std::string timeline_text(const PipelineSchedule& schedule, const Simulation& simulation,
                          int columns, bool colour);

}  // namespace hadal
