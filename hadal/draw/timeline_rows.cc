#include "hadal/draw/timeline_rows.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "hadal/core/number_text.h"
#include "hadal/draw/svg.h"

namespace hadal {
namespace {

constexpr std::array<char, 4> kKinds = {'F', 'B', 'I', 'W'};

constexpr double kSmallestFont = 7;  // pixels; smaller numbers are left out

size_t kind_index(char kind) {
  return static_cast<size_t>(std::find(kKinds.begin(), kKinds.end(), kind) - kKinds.begin());
}

class Row {
 public:
  Row(const TimelineRow& row, const TimeScale& scale, const RowStyle& style, double top)
      : row_(row),
        scale_(scale),
        style_(style),
        top_(top),
        inner_(style.height - (style.height >= 12  ? 3
                               : style.height >= 6 ? 1
                                                   : 0)) {}

  void track(std::string& svg, double panel_end) const;
  void box(const TimelineBox& box, size_t window, const std::string& tooltip);
  void margins(std::string& svg) const;
  void flush(std::string& svg) const;

 private:
  // Half of a pair, or a whole box.
  struct Place {
    double left, right, top, height;
  };
  void part(const TimelinePart& part, const Place& at, const std::string& tooltip);

  const TimelineRow& row_;
  const TimeScale& scale_;
  const RowStyle& style_;
  const double top_, inner_;
  std::array<std::string, 8> shapes_;  // [kind, tone]: one path each, where there are no tooltips
  std::string boxes_, labels_;
};

// Idle until something is drawn over it; a panel that is done early leaves its rows early.
void Row::track(std::string& svg, double panel_end) const {
  for (size_t window = 0; window < scale_.windows().size(); ++window) {
    const TimeWindow& shown = scale_.windows()[window];
    const double end = std::min(shown.to, panel_end);
    if (end <= shown.from) continue;
    const double left = scale_.left(window);
    svg += svg_element("rect",
                       {{"class", "idle"},
                        {"x", left},
                        {"y", top_},
                        {"width", scale_.x(window, end) - left},
                        {"height", inner_}},
                       svg_title(row_.tooltip)) +
           "\n";
  }
}

void Row::box(const TimelineBox& box, size_t window, const std::string& tooltip) {
  const TimeWindow& shown = scale_.windows()[window];
  const double left = scale_.x(window, std::max(box.start, shown.from));
  const double right = scale_.x(window, std::min(box.end, shown.to));
  if (box.is_pair) {
    const double half = inner_ / 2;
    part(box.parts[0], {left, right, top_, half}, tooltip);
    part(box.parts[1], {left, right, top_ + half, half}, tooltip);
  } else {
    part(box.parts[0], {left, right, top_, inner_}, tooltip);
  }
}

void Row::part(const TimelinePart& part, const Place& at, const std::string& tooltip) {
  const double whole = at.right - at.left;
  const double width = whole - std::min(0.8, 0.15 * whole);  // a seam between boxes
  if (style_.tooltips) {
    boxes_ += svg_element("rect",
                          {{"class", box_class(part.kind, part.tone)},
                           {"x", at.left},
                           {"y", at.top},
                           {"width", width},
                           {"height", at.height}},
                          svg_title(tooltip)) +
              "\n";
  } else {
    const std::string w = svg_number(width), h = svg_number(at.height);
    shapes_[2 * kind_index(part.kind) + part.tone] +=
        "M" + svg_number(at.left) + " " + svg_number(at.top) + "h" + w + "v" + h + "h-" + w + "z";
  }
  const std::string label = std::to_string(part.number);
  const double room = (width - 1) / (0.62 * static_cast<double>(label.size()));
  const double font = std::min({11.0, 0.78 * at.height, room});
  if (font < kSmallestFont) return;
  labels_ += svg_element("text",
                         {{"class", "n" + std::to_string(part.tone)},
                          {"x", at.left + width / 2},
                          {"y", at.top + at.height / 2 + 0.36 * font},
                          {"font-size", font}},
                         label) +
             "\n";
}

void Row::margins(std::string& svg) const {
  const double font = std::clamp(0.62 * style_.height, 8.0, 12.0);
  const auto text = [&](double x, const std::string& value) {
    svg += svg_element("text",
                       {{"class", "end"},
                        {"x", x},
                        {"y", top_ + inner_ / 2 + 0.36 * font},
                        {"font-size", font}},
                       svg_text(value)) +
           "\n";
  };
  text(scale_.left(0) - 10, row_.label);
  const double right = scale_.right(scale_.windows().size() - 1);
  text(right + 62, percent(row_.idle_share));
  const auto bar = [&](const char* name, double share) {
    svg += svg_element("rect", {{"class", name},
                                {"x", right + 70},
                                {"y", top_ + 0.3 * inner_},
                                {"width", 50 * share},
                                {"height", 0.4 * inner_}}) +
           "\n";
  };
  bar("rail", 1);
  bar("bar", row_.idle_share);
  text(right + 166, row_.figure);
}

void Row::flush(std::string& svg) const {
  for (size_t kind = 0; kind < kKinds.size(); ++kind) {
    for (int tone = 0; tone < 2; ++tone) {
      const std::string& path = shapes_[2 * kind + static_cast<size_t>(tone)];
      if (path.empty()) continue;
      svg += svg_element("path", {{"class", box_class(kKinds[kind], tone)}, {"d", path}}) + "\n";
    }
  }
  svg += boxes_ + labels_;
}

bool in_window(const TimelineBox& box, const TimeWindow& window) {
  return box.end > window.from && box.start < window.to && box.end > box.start;
}

}  // namespace

int64_t count_boxes(const TimelinePanel& panel, const std::vector<TimeWindow>& windows) {
  int64_t n = 0;
  for (const TimeWindow& window : windows) {
    for (const TimelineRow& row : panel.rows) {
      for (const TimelineBox& box : row.boxes) n += in_window(box, window) ? 1 : 0;
    }
  }
  return n;
}

std::string box_class(char kind, int tone) { return std::string(1, kind) + std::to_string(tone); }

void draw_tracks(std::string& svg, const TimelinePanel& panel, const TimeScale& scale,
                 const RowStyle& style, double top) {
  for (size_t r = 0; r < panel.rows.size(); ++r) {
    Row(panel.rows[r], scale, style, top + style.height * static_cast<double>(r))
        .track(svg, panel.end);
  }
}

void draw_rows(std::string& svg, const TimelineChart& timeline, size_t panel,
               const TimeScale& scale, const RowStyle& style, double top) {
  const std::vector<TimelineRow>& rows = timeline.panels[panel].rows;
  // Labels need ten pixels each.
  const auto every = static_cast<size_t>(std::max(1.0, std::ceil(10 / style.height)));
  for (size_t r = 0; r < rows.size(); ++r) {
    Row row(rows[r], scale, style, top + style.height * static_cast<double>(r));
    for (size_t b = 0; b < rows[r].boxes.size(); ++b) {
      const TimelineBox& box = rows[r].boxes[b];
      for (size_t window = 0; window < scale.windows().size(); ++window) {
        if (!in_window(box, scale.windows()[window])) continue;
        row.box(box, window, style.tooltips ? timeline.box_tooltip(panel, r, b) : "");
      }
    }
    row.flush(svg);
    if (r % every == 0) row.margins(svg);
  }
}

}  // namespace hadal
