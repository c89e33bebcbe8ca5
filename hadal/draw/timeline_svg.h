// draw/timeline_svg.h: a timeline as one SVG picture.
//
// One row per rank, time to the right, one colour per kind (a pair shows both halves above each
// other), light and deep tone, numbers where they fit, idle share and a figure of every row at the
// right. No script and no font is needed; the panel brings its own background and follows a dark
// colour scheme. Boxes have tooltips as long as the file stays small, and one shape per row and
// colour after that; a timeline of more than kMaxDrawnBoxes shows its beginning and end and says
// what it left out.
#pragma once

#include <optional>
#include <string>

#include "hadal/draw/time_scale.h"
#include "hadal/draw/timeline.h"

namespace hadal {

constexpr int64_t kMaxDrawnBoxes = 200'000;
constexpr int64_t kMaxTooltips = 6'000;

// `zoom`: only this part. REQUIRES at least one panel. ConfigError for a zoom that holds nothing.
std::string timeline_svg(const TimelineChart& timeline, const std::optional<TimeWindow>& zoom = {});

}  // namespace hadal
