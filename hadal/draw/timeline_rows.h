// draw/timeline_rows.h: the rows of one panel inside a picture; used by timeline_svg.
#pragma once

#include <string>

#include "hadal/draw/time_scale.h"
#include "hadal/draw/timeline.h"

namespace hadal {

struct RowStyle {
  double height = 30;  // of a row, with the space below it
  bool tooltips = true;
};

// Boxes of `panel` that a picture of these windows shows.
int64_t count_boxes(const TimelinePanel& panel, const std::vector<TimeWindow>& windows);

// The class of a box, "F0": its kind and tone.
std::string box_class(char kind, int tone);

// Every row with its label and figures, the first one at `top`: what lies behind the grid lines,
// and what lies before them.
void draw_tracks(std::string& svg, const TimelinePanel& panel, const TimeScale& scale,
                 const RowStyle& style, double top);
void draw_rows(std::string& svg, const TimelineChart& timeline, size_t panel,
               const TimeScale& scale, const RowStyle& style, double top);

}  // namespace hadal
