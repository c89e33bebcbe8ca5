#include "hadal/draw/line_chart.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "hadal/core/error.h"
#include "hadal/draw/svg.h"

namespace hadal {
namespace {

constexpr double kLeft = 96, kLabelLeft = 18, kPlotWidth = 634, kPlotHeight = 270, kPanelGap = 58;
// Told apart by people with any kind of colour vision (Okabe and Ito), in an order of contrast.
constexpr std::array kColours = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                 "#b58900", "#56b4e9", "#444444", "#7b3294"};
constexpr const char* kStyle =
    ".grid{stroke:#e3e6ea}.axis{stroke:#5b6570}.tick{font-size:12px;fill:#3b444d}"
    ".label{font-size:13px;fill:#1d242b}.end{font-size:13px;font-weight:600}"
    ".curve{fill:none;stroke-width:2.2;stroke-linejoin:round}";
const char* colour(size_t line) { return kColours[line % kColours.size()]; }

struct Scale {
  double low = 0, high = 1;
  bool logarithmic = false;
  double from = 0, to = 1;  // pixels

  bool shows(double value) const { return std::isfinite(value) && (!logarithmic || value > 0); }
  double at(double value) const {
    const double share =
        logarithmic ? std::log(value / low) / std::log(high / low) : (value - low) / (high - low);
    return from + share * (to - from);
  }
};

struct Range {
  double low = INFINITY, high = -INFINITY;
  void take(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  bool empty() const { return low > high; }
};

// Bounds that are never equal, so that a flat line has a scale too.
Scale scale_of(Range range, bool logarithmic, double from, double to) {
  if (range.empty()) range = {logarithmic ? 1.0 : 0.0, logarithmic ? 10.0 : 1.0};
  if (range.low == range.high) {
    const double room = range.low == 0 ? 1 : std::abs(range.low) / 2;
    range = logarithmic ? Range{range.low / 2, range.high * 2}
                        : Range{range.low - room, range.high + room};
  }
  return {range.low, range.high, logarithmic, from, to};
}

Scale x_scale(const LineChart& chart) {
  Range range;
  const Scale any{.logarithmic = chart.x_logarithmic};
  for (const ChartPanel& panel : chart.panels) {
    for (const ChartLine& line : panel.lines) {
      for (const double x : line.x) {
        if (any.shows(x)) range.take(x);
      }
    }
  }
  return scale_of(range, chart.x_logarithmic, kLeft, kLeft + kPlotWidth);
}

Scale y_scale(const ChartPanel& panel, double top) {
  Range range;
  const Scale any{.logarithmic = panel.logarithmic};
  for (const ChartLine& line : panel.lines) {
    for (const double y : line.y) {
      if (any.shows(y)) range.take(y);
    }
  }
  if (!range.empty() && panel.logarithmic) {
    const double room = std::pow(range.high / range.low, 0.05);
    range = {range.low / room, range.high * room};
  }
  if (!range.empty() && !panel.logarithmic) {
    // A linear axis starts at zero unless that would press the lines flat.
    if (range.low > 0 && range.low < 0.6 * range.high) range.low = 0;
    const double room = 0.06 * (range.high - range.low);
    range.high += room;
    if (range.low != 0) range.low -= room;
  }
  return scale_of(range, panel.logarithmic, top + kPlotHeight, top);
}

// The values' own steps where few of them double or so; round numbers otherwise.
std::vector<double> x_ticks(const LineChart& chart, const Scale& scale) {
  constexpr size_t kMost = 12;
  std::vector<double> own;
  for (const ChartPanel& panel : chart.panels) {
    for (const ChartLine& line : panel.lines) own.insert(own.end(), line.x.begin(), line.x.end());
  }
  std::sort(own.begin(), own.end());
  own.erase(std::unique(own.begin(), own.end()), own.end());
  if (scale.logarithmic && own.size() <= kMost && own.size() > 1 && own.front() > 0) return own;
  return scale.logarithmic ? logarithmic_ticks(scale.low, scale.high)
                           : linear_ticks(scale.low, scale.high, 8);
}

class Writer {
 public:
  void line(double x1, double y1, double x2, double y2, const char* style) {
    put(svg_element("line", {{"x1", x1}, {"y1", y1}, {"x2", x2}, {"y2", y2}, {"class", style}}));
  }
  void text(double x, double y, const std::string& content, SvgAttribute a, SvgAttribute b) {
    put(svg_element("text", {{"x", x}, {"y", y}, std::move(a), std::move(b)}, svg_text(content)));
  }
  void text(double x, double y, const std::string& content, const char* style) {
    put(svg_element("text", {{"x", x}, {"y", y}, {"class", style}}, svg_text(content)));
  }
  void put(const std::string& element) { svg_ += element + "\n"; }
  std::string take() { return std::move(svg_); }

 private:
  std::string svg_;
};

void draw_axes(Writer& out, const LineChart& chart, const ChartPanel& panel, const Scale& x,
               const Scale& y, bool last) {
  const double top = y.to, bottom = y.from;
  const std::vector<double> y_ticks =
      panel.logarithmic ? logarithmic_ticks(y.low, y.high) : linear_ticks(y.low, y.high, 6);
  for (const double tick : y_ticks) {
    out.line(kLeft, y.at(tick), kLeft + kPlotWidth, y.at(tick), "grid");
    out.text(kLeft - 8, y.at(tick) + 4, tick_text(tick), {"text-anchor", "end"}, {"class", "tick"});
  }
  for (const double tick : x_ticks(chart, x)) {
    out.line(x.at(tick), top, x.at(tick), bottom, "grid");
    out.text(x.at(tick), bottom + 18, tick_text(tick), {"text-anchor", "middle"},
             {"class", "tick"});
  }
  out.line(kLeft, bottom, kLeft + kPlotWidth, bottom, "axis");
  out.line(kLeft, top, kLeft, bottom, "axis");
  out.text(kLabelLeft, top - 12, panel.label + (panel.logarithmic ? ", logarithmic" : ""), "label");
  if (last) {
    out.text(kLeft + kPlotWidth / 2, bottom + 42,
             chart.x_label + (chart.x_logarithmic ? ", logarithmic" : ""),
             {"text-anchor", "middle"}, {"class", "label"});
  }
}

void draw_line(Writer& out, const ChartLine& line, const Scale& x, const Scale& y,
               const char* stroke) {
  std::string path;
  bool pen_down = false;
  for (size_t i = 0; i < line.x.size() && i < line.y.size(); ++i) {
    const bool shown = x.shows(line.x[i]) && y.shows(line.y[i]);
    if (shown) {
      path += concat(pen_down ? "L" : "M", svg_number(x.at(line.x[i])), " ",
                     svg_number(y.at(line.y[i])), " ");
    }
    pen_down = shown;
  }
  out.put(svg_element("path", {{"d", path}, {"class", "curve"}, {"stroke", stroke}}));
  if (line.x.size() > 60) return;  // dots would touch
  for (size_t i = 0; i < line.x.size() && i < line.y.size(); ++i) {
    if (!x.shows(line.x[i]) || !y.shows(line.y[i])) continue;
    const std::string title =
        concat(line.name, ": ", tick_text(line.x[i]), ", ", tick_text(line.y[i]));
    out.put(svg_element(
        "circle", {{"cx", x.at(line.x[i])}, {"cy", y.at(line.y[i])}, {"r", 3.2}, {"fill", stroke}},
        svg_title(title)));
  }
}

// A label where each line ends; those that would overlap move down, and up again at the bottom.
void draw_end_labels(Writer& out, const ChartPanel& panel, const Scale& x, const Scale& y) {
  constexpr double kLineHeight = 15;
  struct Label {
    double x, y;
    size_t line;
  };
  std::vector<Label> labels;
  for (size_t l = 0; l < panel.lines.size(); ++l) {
    const ChartLine& line = panel.lines[l];
    for (size_t i = std::min(line.x.size(), line.y.size()); i-- > 0;) {
      if (!x.shows(line.x[i]) || !y.shows(line.y[i])) continue;
      labels.push_back({x.at(line.x[i]), y.at(line.y[i]), l});
      break;
    }
  }
  std::sort(labels.begin(), labels.end(), [](const Label& a, const Label& b) { return a.y < b.y; });
  for (size_t i = 1; i < labels.size(); ++i) {
    labels[i].y = std::max(labels[i].y, labels[i - 1].y + kLineHeight);
  }
  double lowest = y.from + 4;
  for (size_t i = labels.size(); i-- > 0; lowest -= kLineHeight) {
    labels[i].y = std::min(labels[i].y, lowest);
  }
  for (const Label& label : labels) {
    out.text(label.x + 12, label.y + 4, panel.lines[label.line].name, {"class", "end"},
             {"fill", colour(label.line)});
  }
}

double text_width(const std::string& text) { return 7.4 * static_cast<double>(text.size()); }

// Right-aligned over its panel; left out where it would run into the panel's label, since the
// labels at the ends of the lines say the same.
void draw_legend(Writer& out, const ChartPanel& panel, double top) {
  double width = 0;
  for (const ChartLine& line : panel.lines) width += text_width(line.name) + 34;
  double at = kLeft + kPlotWidth - width;
  if (at < kLabelLeft + text_width(panel.label) + 110) return;
  for (size_t l = 0; l < panel.lines.size(); ++l) {
    out.put(svg_element("rect", {{"x", at},
                                 {"y", top - 21},
                                 {"width", 14},
                                 {"height", 10},
                                 {"rx", 2},
                                 {"fill", colour(l)}}));
    out.text(at + 19, top - 12, panel.lines[l].name, "tick");
    at += text_width(panel.lines[l].name) + 34;
  }
}

// Room for the longest label at the end of a line.
double chart_width(const LineChart& chart) {
  double room = 60;
  for (const ChartPanel& panel : chart.panels) {
    for (const ChartLine& line : panel.lines) {
      room = std::max(room, 1.12 * text_width(line.name) + 30);
    }
  }
  return kLeft + kPlotWidth + std::min(room, 500.0);
}

}  // namespace

std::string line_chart_svg(const LineChart& chart) {
  const double width = chart_width(chart);
  const double head = chart.subtitle.empty() ? 84 : 104;
  const auto n_panels = static_cast<double>(chart.panels.size());
  const double height = head + n_panels * kPlotHeight + (n_panels - 1) * kPanelGap + 66;
  Writer out;
  out.put(svg_element("style", {}, kStyle));
  out.put(svg_element("rect", {{"width", width}, {"height", height}, {"fill", "#ffffff"}}));
  out.put(svg_element("text",
                      {{"x", kLabelLeft},
                       {"y", 32},
                       {"font-size", 19},
                       {"font-weight", "600"},
                       {"fill", "#1d242b"}},
                      svg_text(chart.title)));
  if (!chart.subtitle.empty()) {
    out.put(svg_element("text",
                        {{"x", kLabelLeft}, {"y", 54}, {"font-size", 13}, {"fill", "#5b6570"}},
                        svg_text(chart.subtitle)));
  }
  const Scale x = x_scale(chart);
  double top = head;
  for (size_t p = 0; p < chart.panels.size(); ++p, top += kPlotHeight + kPanelGap) {
    const ChartPanel& panel = chart.panels[p];
    const Scale y = y_scale(panel, top);
    draw_axes(out, chart, panel, x, y, p + 1 == chart.panels.size());
    if (panel.lines.size() > 1) draw_legend(out, panel, top);
    for (size_t l = 0; l < panel.lines.size(); ++l) draw_line(out, panel.lines[l], x, y, colour(l));
    draw_end_labels(out, panel, x, y);
  }
  return svg_element("svg",
                     {{"xmlns", "http://www.w3.org/2000/svg"},
                      {"viewBox", "0 0 " + svg_number(width) + " " + svg_number(height)},
                      {"width", width},
                      {"height", height},
                      {"font-family", "Helvetica, Arial, sans-serif"}},
                     "\n" + out.take()) +
         "\n";
}

}  // namespace hadal
