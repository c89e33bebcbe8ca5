#include <cmath>

#include "hadal/core/error.h"
#include "hadal/draw/line_chart.h"
#include "hadal/reproduce/page.h"

namespace hadal {
namespace {

// Mean over the seeds, point by point: runs of one experiment have the same steps.
ChartLine mean_line(const std::vector<Outcome>& outcomes, const std::string& variant,
                    const std::string& curve) {
  ChartLine line{variant, {}, {}};
  int64_t n = 0;
  for (const Outcome& each : outcomes) {
    const auto found = each.curves.find(curve);
    if (each.variant != variant || each.other_order || found == each.curves.end()) continue;
    if (n++ == 0) {
      line.x = found->second.x;
      line.y.assign(line.x.size(), 0.0);
    }
    for (size_t i = 0; i < line.y.size(); ++i) line.y[i] += found->second.y.at(i);
  }
  for (double& y : line.y) y /= static_cast<double>(n);
  return line;
}

std::string curves_svg(const Reproduction& result) {
  const Experiment& e = *result.experiment;
  LineChart chart;
  chart.title = e.name;
  int64_t seeds = 0;
  for (const Outcome& each : result.outcomes) seeds = std::max(seeds, each.seed + 1);
  chart.subtitle = seeds > 1 ? concat("mean of ", seeds, " seeds") : "one seed";
  chart.x_label = e.x_label;
  chart.x_logarithmic = e.x_logarithmic;
  for (const Panel& panel : e.panels) {
    ChartPanel& drawn = chart.panels.emplace_back();
    drawn.label = panel.label;
    drawn.logarithmic = panel.logarithmic;
    for (const std::string& variant : e.variants) {
      ChartLine line = mean_line(result.outcomes, variant, panel.curve);
      if (!line.x.empty()) drawn.lines.push_back(std::move(line));
    }
  }
  return line_chart_svg(chart);
}

}  // namespace

std::vector<std::pair<std::string, std::string>> pictures_of(const Reproduction& result) {
  const Experiment& e = *result.experiment;
  std::vector<std::pair<std::string, std::string>> pictures;
  if (!e.panels.empty()) pictures.emplace_back(e.name + ".svg", curves_svg(result));
  int64_t n = 0;
  for (const Outcome& each : result.outcomes) {
    if (each.seed != 0 || each.other_order) continue;
    for (const HeatMap& map : each.maps) {
      pictures.emplace_back(concat(e.name, "-", ++n, ".svg"), heat_map_svg(map));
    }
  }
  return pictures;
}

}  // namespace hadal
