// The page around the rows: title, legend, axis, and how much of a long timeline is shown.
#include "hadal/draw/timeline_svg.h"

#include <algorithm>
#include <cmath>

#include "hadal/core/error.h"
#include "hadal/core/number_text.h"
#include "hadal/draw/svg.h"
#include "hadal/draw/timeline_rows.h"

namespace hadal {
namespace {

constexpr double kTimelineLeft = 84, kTimelineRight = 196;  // margins beside the plot, pixels
constexpr double kBoxWidth = 13.5, kLeastWidth = 900, kMostWidth = 2200;  // of the plot

// Light and deep tones of one hue: F blue, B green, B_in rose, W amber. Chosen to stay apart for
// colour-blind readers: the kinds differ in hue, the directions in lightness.
constexpr const char* kTimelineStyle = R"svg(<style>
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
    svg += svg_element(
               "text",
               {{"class", name}, {"x", x}, {"y", y}, {"font-size", font}, {"font-weight", weight}},
               svg_text(value)) +
           "\n";
  }
  void rect(const std::string& name, double x, double y, double width, double height) {
    svg +=
        svg_element("rect",
                    {{"class", name}, {"x", x}, {"y", y}, {"width", width}, {"height", height}}) +
        "\n";
  }
  void line(const char* name, double x1, double y1, double x2, double y2) {
    svg += svg_element("line", {{"class", name}, {"x1", x1}, {"y1", y1}, {"x2", x2}, {"y2", y2}}) +
           "\n";
  }
};

double end_of(const TimelineChart& timeline) {
  double end = 0;
  for (const TimelinePanel& panel : timeline.panels) end = std::max(end, panel.end);
  return end;
}

int64_t boxes_in(const TimelineChart& timeline, const std::vector<TimeWindow>& windows) {
  int64_t n = 0;
  for (const TimelinePanel& panel : timeline.panels) n += count_boxes(panel, windows);
  return n;
}

// The whole timeline, the user's part of it, or beginning and end of one with too many boxes.
std::vector<TimeWindow> choose_windows(const TimelineChart& timeline,
                                       const std::optional<TimeWindow>& zoom) {
  const double makespan = end_of(timeline);
  TimeWindow whole{0, makespan > 0 ? makespan : 1};
  if (zoom) {
    whole = {std::max(zoom->from, 0.0), std::min(zoom->to, makespan)};
    require(whole.to > whole.from, {.field = "zoom",
                                    .problem = "nothing there",
                                    .found = {zoom->from, " to ", zoom->to},
                                    .expected = {"a part of 0 to ", plain_number(makespan)}});
  }
  const int64_t n_boxes = boxes_in(timeline, {whole});
  if (n_boxes <= kMaxDrawnBoxes) return {whole};
  constexpr double kBoxesAtEachEnd = 10'000;
  const double part = (whole.to - whole.from) * kBoxesAtEachEnd / static_cast<double>(n_boxes);
  return {{whole.from, whole.from + part}, {whole.to - part, whole.to}};
}

void draw_legend(Page& page, const TimelineChart& timeline, double y) {
  const std::string& tones = timeline.tones;
  double x = kTimelineLeft;
  const double swatch = tones.empty() ? 15 : 30;
  const auto text_width = [](const std::string& text) {
    return 6.6 * static_cast<double>(text.size());
  };
  for (const TimelineKey& entry : timeline.legend) {
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
  if (!tones.empty()) page.text("soft", kTimelineLeft, y + 32, 12, "Tones: " + tones + ".");
}

void draw_axis(Page& page, const TimeScale& scale, double top, double bottom) {
  for (size_t window = 0; window < scale.windows().size(); ++window) {
    page.line("axis", scale.left(window), bottom, scale.right(window), bottom);
    for (const double tick : scale.ticks(window, 64)) {
      const double x = scale.x(window, tick);
      page.line("grid", x, top, x, bottom);
      page.line("axis", x, bottom, x, bottom + 5);
      page.svg += svg_element("text",
                              {{"class", "soft"},
                               {"text-anchor", "middle"},
                               {"x", x},
                               {"y", bottom + 18},
                               {"font-size", 11}},
                              plain_number(tick)) +
                  "\n";
    }
  }
}

void draw_cut(Page& page, const TimeScale& scale, int64_t left_out, double bottom) {
  if (scale.windows().size() < 2) return;
  page.text("ink", scale.right(0) + TimeScale::kCutWidth / 2 - 6, bottom + 4, 16, "\u22ef");
  page.text("soft", kTimelineLeft, bottom + 38, 12,
            concat("Not drawn: the steady state from ", plain_number(scale.windows()[0].to), " to ",
                   plain_number(scale.windows()[1].from), ", ", left_out,
                   " boxes. The figures at the right are of the whole step."));
}

// Short boxes (the first quartile) become wide enough for a number of two digits, within the limits
// of a page.
double plot_width(const TimelineChart& timeline, const std::vector<TimeWindow>& windows) {
  std::vector<double> durations;
  for (const TimelinePanel& panel : timeline.panels) {
    for (const TimelineRow& row : panel.rows) {
      for (const TimelineBox& box : row.boxes) {
        if (box.end > box.start) durations.push_back(box.end - box.start);
      }
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

std::string timeline_svg(const TimelineChart& timeline, const std::optional<TimeWindow>& zoom) {
  const std::vector<TimelinePanel>& panels = timeline.panels;
  const std::vector<TimeWindow> windows = choose_windows(timeline, zoom);
  const int64_t n_boxes = boxes_in(timeline, windows);
  size_t n_rows = 0;
  for (const TimelinePanel& panel : panels) n_rows += panel.rows.size();
  const bool several = panels.size() > 1;

  const double width = plot_width(timeline, windows);
  const TimeScale scale(windows, kTimelineLeft, width);
  const double right = kTimelineLeft + width;
  const RowStyle style{
      .height = std::clamp(std::floor((several ? 1100 : 960) / static_cast<double>(n_rows)),
                           n_rows > 512 ? 2.0 : 4.0, several ? 22.0 : 30.0),
      .tooltips = n_boxes <= kMaxTooltips};

  Page page;
  const double legend = 70, rows_top = legend + (timeline.tones.empty() ? 44 : 64);
  page.text("ink", kTimelineLeft, 36, 20, timeline.title, "bold");
  page.text("soft", kTimelineLeft, 57, 13, timeline.subtitle);
  draw_legend(page, timeline, legend);

  double y = rows_top;
  std::string rows;
  for (size_t p = 0; p < panels.size(); ++p) {
    if (several) {
      page.text("ink", kTimelineLeft, y + 14, 15, panels[p].name, "bold");
      page.text("soft", kTimelineLeft + 100, y + 14, 12, panels[p].facts);
      y += 22;
    }
    if (p == 0) {
      page.text("end", right + 62, y - 6, 11, "idle");
      page.text("end", right + 166, y - 6, 11, timeline.figure_name);
    }
    draw_tracks(page.svg, panels[p], scale, style, y);
    draw_rows(rows, timeline, p, scale, style, y);
    y += style.height * static_cast<double>(panels[p].rows.size()) + (several ? 14 : 0);
  }
  draw_axis(page, scale, rows_top - 2, y + 4);
  page.svg += rows;
  draw_cut(page, scale, boxes_in(timeline, {{0, end_of(timeline)}}) - n_boxes, y + 4);

  const std::string total = svg_number(right + kTimelineRight);
  const std::string height = svg_number(y + (windows.size() > 1 ? 56 : 36));
  const std::string panel =
      svg_element("rect", {{"class", "panel"}, {"width", total}, {"height", height}});
  return svg_element("svg",
                     {{"xmlns", "http://www.w3.org/2000/svg"},
                      {"width", total},
                      {"height", height},
                      {"viewBox", "0 0 " + total + " " + height},
                      {"role", "img"},
                      {"aria-label", timeline.description}},
                     concat("\n", kTimelineStyle, panel, "\n", page.svg)) +
         "\n";
}

}  // namespace hadal
