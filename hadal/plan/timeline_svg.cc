// The page around the rows: title, legend, axis, and how much of a long timeline is shown.
#include "hadal/plan/timeline_svg.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "hadal/core/error.h"
#include "hadal/plan/formula_text.h"
#include "hadal/plan/schedule_facts.h"
#include "hadal/plan/svg_text.h"
#include "hadal/plan/timeline_rows.h"

namespace hadal {
namespace {

constexpr double kLeft = 84, kRight = 196;  // margins beside the plot, pixels
constexpr double kBoxWidth = 13.5, kLeastWidth = 900, kMostWidth = 2200;  // of the plot

// Light and deep tones of one hue: F blue, B green, B_in rose, W amber. Chosen to stay apart for
// colour-blind readers: the kinds differ in hue, the directions in lightness.
constexpr const char* kStyle = R"svg(<style>
svg{font-family:"Segoe UI","Helvetica Neue",Arial,"DejaVu Sans",sans-serif}
.panel{fill:#fff}.ink{fill:#1b1f24}.soft,.end{fill:#59636e}.end{text-anchor:end}
.idle{fill:url(#gap)}.gap0{fill:#eef0f3}.gap1{stroke:#d9dde3}
.grid{stroke:#1b1f24;stroke-opacity:.13}.axis{stroke:#8b949e}
.rail{fill:#e4e7eb}.bar{fill:#d1495b}
.F0{fill:#8fc3f0}.F1{fill:#2a6fb5}.B0{fill:#8ed1a9}.B1{fill:#1d7d4f}
.I0{fill:#edaccb}.I1{fill:#ab4380}.W0{fill:#f6cf6d}.W1{fill:#bb7a0c}
.n0,.n1{text-anchor:middle;pointer-events:none}.n0{fill:#12202e}.n1{fill:#fff}
@media (prefers-color-scheme:dark){
.panel{fill:#14181d}.ink{fill:#e9edf2}.soft,.end{fill:#9aa5b1}
.gap0{fill:#20262d}.gap1{stroke:#303842}.grid{stroke:#e9edf2}.rail{fill:#2a323b}
.bar{fill:#e8697a}}
</style>
<defs><pattern id="gap" width="6" height="6" patternUnits="userSpaceOnUse"
 patternTransform="rotate(45)"><rect class="gap0" width="6" height="6"/><line class="gap1" x1="0"
 y1="0" x2="0" y2="6" stroke-width="2"/></pattern></defs>
)svg";

struct Page {
  std::string svg;
  void text(const char* name, double x, double y, double font, const std::string& value,
            const char* weight = "normal") {
    svg += concat("<text class=\"", name, "\" x=\"", svg_number(x), "\" y=\"", svg_number(y),
                  "\" font-size=\"", svg_number(font), "\" font-weight=\"", weight, "\">",
                  svg_text(value), "</text>\n");
  }
  void rect(const std::string& name, double x, double y, double width, double height) {
    svg += "<rect class=\"" + name + "\" x=\"" + svg_number(x) + "\" y=\"" + svg_number(y) +
           "\" width=\"" + svg_number(width) + "\" height=\"" + svg_number(height) + "\"/>\n";
  }
  void line(const char* name, double x1, double y1, double x2, double y2) {
    svg += concat("<line class=\"", name, "\" x1=\"", svg_number(x1), "\" y1=\"", svg_number(y1),
                  "\" x2=\"", svg_number(x2), "\" y2=\"", svg_number(y2), "\"/>\n");
  }
};

std::string sizes_text(const PipelineSchedule& schedule) {
  return concat(schedule.n_stages, " stages on ", schedule.n_ranks, " ranks, ",
                schedule.n_micro_batches, " micro-batches");
}

std::string facts_text(const TimelinePanel& panel) {
  int64_t peak = 0;
  for (const RankTimes& rank : panel.simulation->ranks) {
    peak = std::max(peak, rank.peak_activations);
  }
  return concat("makespan ", plain_number(panel.simulation->makespan), " \u00b7 idle ",
                percent(panel.simulation->idle_share()), " \u00b7 at most ", peak,
                " chunks stored \u00b7 parameters stored ",
                plain_number(parameter_copies(*panel.schedule)), "\u00d7");
}

double makespan_of(const std::vector<TimelinePanel>& panels) {
  double makespan = 0;
  for (const TimelinePanel& panel : panels) {
    makespan = std::max(makespan, panel.simulation->makespan);
  }
  return makespan;
}

int64_t boxes_in(const std::vector<TimelinePanel>& panels, const std::vector<TimeWindow>& windows) {
  int64_t n = 0;
  for (const TimelinePanel& panel : panels) n += count_boxes(*panel.simulation, windows);
  return n;
}

// The whole timeline, the user's part of it, or beginning and end of one with too many boxes.
std::vector<TimeWindow> choose_windows(const std::vector<TimelinePanel>& panels,
                                       const std::optional<TimeWindow>& zoom) {
  const double makespan = makespan_of(panels);
  TimeWindow whole{0, makespan > 0 ? makespan : 1};
  if (zoom) {
    whole = {std::max(zoom->from, 0.0), std::min(zoom->to, makespan)};
    require(whole.to > whole.from, {.place = "zoom",
                                    .problem = "nothing there",
                                    .found = {zoom->from, " to ", zoom->to},
                                    .expected = {"a part of 0 to ", plain_number(makespan)}});
  }
  const int64_t n_boxes = boxes_in(panels, {whole});
  if (n_boxes <= kMaxDrawnBoxes) return {whole};
  constexpr double kBoxesAtEachEnd = 10'000;
  const double part = (whole.to - whole.from) * kBoxesAtEachEnd / static_cast<double>(n_boxes);
  return {{whole.from, whole.from + part}, {whole.to - part, whole.to}};
}

struct LegendEntry {
  std::string kinds;  // classes without tone, one or two (above each other)
  std::string text;
};

std::vector<LegendEntry> legend_entries(const std::vector<TimelinePanel>& panels) {
  std::set<ActionKind> seen;
  for (const TimelinePanel& panel : panels) {
    for (const TimedAction& box : panel.simulation->timeline) seen.insert(box.action.kind);
  }
  std::vector<LegendEntry> entries;
  const auto add = [&](ActionKind kind, const char* kinds, const char* text) {
    if (seen.contains(kind)) entries.push_back({kinds, text});
  };
  add(ActionKind::kForward, "F", "F forward");
  add(ActionKind::kBackward, "B", "B backward");
  add(ActionKind::kBackwardInput, "I", "B_in its input part");
  add(ActionKind::kWeight, "W", "W its weight part");
  add(ActionKind::kForwardBackward, "FB", "F&B overlapped pair");
  return entries;
}

// What light and deep tones mean; empty when there is one tone only.
std::string tones_text(const std::vector<TimelinePanel>& panels) {
  std::string text;
  const auto add = [&](const std::string& more) {
    if (text.find(more) == std::string::npos) text += (text.empty() ? "" : "; ") + more;
  };
  for (const TimelinePanel& panel : panels) {
    const std::string name = panels.size() > 1 ? schedule_title(panel.schedule->name) + ": " : "";
    switch (placement_of(*panel.schedule)) {
      case Placement::kOneStage:
        break;
      case Placement::kTwoDirections:
        add(name + "light from the first rank on, deep from the last rank back");
        break;
      case Placement::kThereAndBack:
        add(name + "light on the way out, deep on the way back");
        break;
      case Placement::kOther:
        add(name + "light: the rank's first stage, deep: its others");
        break;
    }
  }
  return text;
}

void draw_legend(Page& page, const std::vector<TimelinePanel>& panels, double y) {
  const std::string tones = tones_text(panels);
  double x = kLeft;
  const double swatch = tones.empty() ? 15 : 30;
  const auto text_width = [](const std::string& text) {
    return 6.6 * static_cast<double>(text.size());
  };
  for (const LegendEntry& entry : legend_entries(panels)) {
    const double height = 14 / static_cast<double>(entry.kinds.size());
    for (size_t i = 0; i < entry.kinds.size(); ++i) {
      for (int tone = 0; tone < (tones.empty() ? 1 : 2); ++tone) {
        // The halves of a pair belong to opposite directions.
        const int drawn = i == 0 || tones.empty() ? tone : 1 - tone;
        page.rect(box_class(entry.kinds[i], drawn), x + 15 * tone,
                  y + height * static_cast<double>(i), 14.5, height);
      }
    }
    page.text("ink", x + swatch + 6, y + 11.5, 12, entry.text);
    x += swatch + 6 + text_width(entry.text) + 14;
  }
  page.rect("idle", x, y, 15, 14);
  page.text("ink", x + 21, y + 11.5, 12, "idle");
  if (!tones.empty()) page.text("soft", kLeft, y + 32, 12, "Tones: " + tones + ".");
}

void draw_axis(Page& page, const TimeScale& scale, double top, double bottom) {
  for (size_t window = 0; window < scale.windows().size(); ++window) {
    page.line("axis", scale.left(window), bottom, scale.right(window), bottom);
    for (const double tick : scale.ticks(window, 64)) {
      const double x = scale.x(window, tick);
      page.line("grid", x, top, x, bottom);
      page.line("axis", x, bottom, x, bottom + 5);
      page.svg += "<text class=\"soft\" text-anchor=\"middle\" x=\"" + svg_number(x) + "\" y=\"" +
                  svg_number(bottom + 18) + "\" font-size=\"11\">" + plain_number(tick) +
                  "</text>\n";
    }
  }
}

void draw_cut(Page& page, const TimeScale& scale, int64_t left_out, double bottom) {
  if (scale.windows().size() < 2) return;
  page.text("ink", scale.right(0) + TimeScale::kCutWidth / 2 - 6, bottom + 4, 16, "\u22ef");
  page.text("soft", kLeft, bottom + 38, 12,
            concat("Not drawn: the steady state from ", plain_number(scale.windows()[0].to), " to ",
                   plain_number(scale.windows()[1].from), ", ", left_out,
                   " boxes. The figures at the right are of the whole step."));
}

// Short boxes (the first quartile) become wide enough for a number of two digits, within the limits
// of a page.
double plot_width(const std::vector<TimelinePanel>& panels,
                  const std::vector<TimeWindow>& windows) {
  std::vector<double> durations;
  for (const TimelinePanel& panel : panels) {
    for (const TimedAction& box : panel.simulation->timeline) {
      if (box.end > box.start) durations.push_back(box.end - box.start);
    }
  }
  if (durations.empty()) return kLeastWidth;
  const auto quartile = durations.begin() + static_cast<std::ptrdiff_t>(durations.size() / 4);
  std::nth_element(durations.begin(), quartile, durations.end());
  double shown = 0;
  for (const TimeWindow& window : windows) shown += window.to - window.from;
  return std::clamp(kBoxWidth * shown / *quartile, kLeastWidth, kMostWidth);
}

}  // namespace

std::string timeline_svg(const std::vector<TimelinePanel>& panels,
                         const TimelineSvgOptions& options) {
  const std::vector<TimeWindow> windows = choose_windows(panels, options.zoom);
  const int64_t n_boxes = boxes_in(panels, windows);
  size_t n_rows = 0;
  for (const TimelinePanel& panel : panels) n_rows += panel.simulation->ranks.size();
  const bool several = panels.size() > 1;

  const double width = plot_width(panels, windows);
  const TimeScale scale(windows, kLeft, width);
  const double right = kLeft + width;
  const RowStyle style{
      .height = std::clamp(std::floor((several ? 1100 : 960) / static_cast<double>(n_rows)),
                           n_rows > 512 ? 2.0 : 4.0, several ? 22.0 : 30.0),
      .tooltips = n_boxes <= kMaxTooltips};

  Page page;
  const PipelineSchedule& first = *panels.front().schedule;
  const double legend = 70, rows_top = legend + (tones_text(panels).empty() ? 44 : 64);
  page.text("ink", kLeft, 36, 20,
            several ? concat("Pipeline schedules, ", first.n_stages, " stages, ",
                             first.n_micro_batches, " micro-batches")
                    : schedule_title(first.name) + ", " + sizes_text(first),
            "bold");
  page.text("soft", kLeft, 57, 13,
            (several ? "" : facts_text(panels.front()) + " \u00b7 ") + options.times);
  draw_legend(page, panels, legend);

  double y = rows_top;
  std::string rows;
  for (const TimelinePanel& panel : panels) {
    if (several) {
      page.text("ink", kLeft, y + 14, 15, schedule_title(panel.schedule->name), "bold");
      page.text("soft", kLeft + 100, y + 14, 12,
                concat("on ", panel.schedule->n_ranks, " ranks \u00b7 ", facts_text(panel)));
      y += 22;
    }
    if (&panel == &panels.front()) {
      page.text("end", right + 62, y - 6, 11, "idle");
      page.text("end", right + 166, y - 6, 11, "stored");
    }
    draw_tracks(page.svg, panel, scale, style, y);
    draw_rows(rows, panel, scale, style, y);
    y += style.height * static_cast<double>(panel.simulation->ranks.size()) + (several ? 14 : 0);
  }
  draw_axis(page, scale, rows_top - 2, y + 4);
  page.svg += rows;
  draw_cut(page, scale, boxes_in(panels, {{0, makespan_of(panels)}}) - n_boxes, y + 4);

  const std::string total = svg_number(right + kRight);
  const std::string height = svg_number(y + (windows.size() > 1 ? 56 : 36));
  return "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + total + "\" height=\"" + height +
         "\" viewBox=\"0 0 " + total + " " + height + "\" role=\"img\" aria-label=\"" +
         svg_text(several ? "pipeline schedules compared"
                          : schedule_title(first.name) + ", " + facts_text(panels.front())) +
         "\">\n" + kStyle + "<rect class=\"panel\" width=\"" + total + "\" height=\"" + height +
         "\"/>\n" + page.svg + "</svg>\n";
}

}  // namespace hadal
