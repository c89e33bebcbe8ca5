// draw/timeline.h: what happens when, row by row: boxes on a common time axis, as values. Drawn by
// timeline_svg as a picture and by timeline_text for a terminal.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace hadal {

// A colour and the number written on it where there is room. The kinds have their colours in the
// two drawings: F blue, B green, I rose, W amber; there are no others.
struct TimelinePart {
  char kind = 'F';
  uint8_t tone = 0;  // 0: light, 1: deep
  int32_t number = 0;
};

struct TimelineBox {
  double start = 0, end = 0;
  std::array<TimelinePart, 2> parts;
  bool is_pair = false;  // both parts, the first above the second; otherwise the first alone
};

struct TimelineRow {
  std::string label;               // "rank 3"
  std::string tooltip;             // of its idle time
  std::vector<TimelineBox> boxes;  // in order of time
  double idle_share = 0;           // 0 to 1
  std::string figure;              // under TimelineChart::figure_name
};

struct TimelinePanel {
  std::string name, facts;  // shown where there are several panels
  double end = 0;           // of its time, which begins at 0
  std::vector<TimelineRow> rows;
};

struct TimelineKey {
  std::string kinds;  // one, or two above each other
  std::string text;
};

struct TimelineChart {
  std::string title, subtitle, description;
  std::vector<TimelineKey> legend;
  std::string tones;  // what light and deep mean; empty: everything is light
  std::string figure_name;
  std::vector<TimelinePanel> panels;  // under each other, on one time axis
  // Asked for boxes that get one: a picture with very many boxes has none.
  std::function<std::string(size_t panel, size_t row, size_t box)> box_tooltip;
};

}  // namespace hadal
