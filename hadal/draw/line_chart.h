// draw/line_chart.h: lines over one common x axis, drawn as SVG.
#pragma once

#include <string>
#include <vector>

namespace hadal {

struct ChartLine {
  std::string name;
  std::vector<double> x, y;  // NaN in y leaves a gap
};
struct ChartPanel {
  std::string label;  // of the y axis, with its unit
  bool logarithmic = false;
  std::vector<ChartLine> lines;
};
struct LineChart {
  std::string title, subtitle;
  std::string x_label;
  bool x_logarithmic = false;
  std::vector<ChartPanel> panels;  // one below the other
};

// A document of its own: light background, grid, a legend and a label at the end of each line.
// A logarithmic axis leaves out points that are not positive.
std::string line_chart_svg(const LineChart& chart);

// Where an axis has its ticks: 1, 2 or 5 times a power of ten, or powers (of two, if those are the
// values' own steps). Used by the chart; separate because tests can judge it.
std::vector<double> linear_ticks(double low, double high, int about);
std::vector<double> logarithmic_ticks(double low, double high);
// 16384 -> "16,384", 2.5e6 -> "2.5M", 0.0034 -> "0.0034"
std::string tick_text(double value);

}  // namespace hadal
