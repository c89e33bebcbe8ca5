// plan/timeline_svg.h: simulated schedules as one SVG picture.
//
// One row per rank, time to the right, one colour per kind (F, B, B_in, W; an overlapped pair shows
// both halves above each other), light and deep tone for the two directions, micro-batch numbers
// where they fit, idle share and stored chunks of every rank at the right. No script and no font is
// needed; the panel brings its own background and follows a dark colour scheme. Boxes have tooltips
// as long as the file stays small, and one shape per row and colour after that; a timeline of more
// than kMaxDrawnBoxes shows its beginning and end and says what it left out.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hadal/plan/pipeline_simulator.h"
#include "hadal/plan/timeline_scale.h"

namespace hadal {

struct TimelinePanel {
  const PipelineSchedule* schedule = nullptr;
  const Simulation* simulation = nullptr;  // REQUIRES its timeline
};

struct TimelineSvgOptions {
  std::string times;               // for the title: "F 1, B 2 (B_in 1 + W 1)"
  std::optional<TimeWindow> zoom;  // only this part
};

constexpr int64_t kMaxDrawnBoxes = 200'000;
constexpr int64_t kMaxTooltips = 6'000;

// Several panels stand under each other on one time axis. REQUIRES at least one. ConfigError for a
// zoom that holds nothing.
std::string timeline_svg(const std::vector<TimelinePanel>& panels,
                         const TimelineSvgOptions& options = {});

}  // namespace hadal
