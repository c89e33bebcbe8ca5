// draw/timeline_text.h: a small timeline for a terminal, one line per row.
#pragma once

#include <string>

#include "hadal/draw/timeline.h"

namespace hadal {

// The first panel: F, B, I, W and X (a pair), in small letters for the deep tone; with `colour`
// boxes in the colours of timeline_svg. Empty when the lines would not fit into `columns` with at
// least one character for every box.
std::string timeline_text(const TimelineChart& timeline, int columns, bool colour);

}  // namespace hadal
