#include "hadal/draw/load_maps.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <map>
#include <numeric>

#include "hadal/core/error.h"
#include "hadal/core/number_text.h"
#include "hadal/draw/svg.h"

namespace hadal {
namespace {

constexpr double kMapWidth = 440, kMapGap = 28, kMapLeft = 64, kTop = 108;
constexpr double kBarsHeight = 110, kDotsWidth = 250;
constexpr double kColourEnd = 2.0;  // load over mean from which on the colour stays the same
constexpr int kMapColours = 41;

// `ratio` = load over mean: blue below 1, nearly white at 1, orange to dark red above.
int colour_step(double ratio) {
  const double share = std::clamp(ratio / kColourEnd, 0.0, 1.0);
  return static_cast<int>(std::lround(share * (kMapColours - 1)));
}

std::string colour(int step) {
  struct Stop {
    double at;
    std::array<double, 3> rgb;
  };
  static constexpr Stop kStops[] = {
      {0.0, {33, 82, 148}}, {0.5, {238, 240, 236}}, {0.75, {244, 150, 74}}, {1.0, {150, 20, 34}}};
  const double share = static_cast<double>(step) / (kMapColours - 1);
  size_t upper = 1;
  while (kStops[upper].at < share) ++upper;
  const Stop &a = kStops[upper - 1], &b = kStops[upper];
  const double t = (share - a.at) / (b.at - a.at);
  char text[8];
  const auto channel = [&](size_t c) {
    return static_cast<unsigned>(std::lround(a.rgb[c] + t * (b.rgb[c] - a.rgb[c])));
  };
  std::snprintf(text, sizeof text, "#%02x%02x%02x", channel(0) & 255U, channel(1) & 255U,
                channel(2) & 255U);
  return text;
}

// Places of the columns and rows, shared by everything that is drawn.
struct Grid {
  int64_t n_gpus, n_nodes, n_layers;
  double row;       // height of a layer
  double node_gap;  // between the columns of two nodes
  explicit Grid(const LoadMaps& maps)
      : n_gpus(maps.n_gpus),
        n_nodes(maps.n_nodes),
        n_layers(static_cast<int64_t>(maps.layers.size())),
        row(std::clamp(520.0 / static_cast<double>(n_layers), 3.0, 30.0)),
        node_gap(n_nodes > 1 && n_nodes <= 40 ? 2.5 : 0.0) {}
  double column() const {
    return (kMapWidth - node_gap * static_cast<double>(n_nodes - 1)) / static_cast<double>(n_gpus);
  }
  double gpu_x(int64_t gpu) const {
    const int64_t node = gpu / (n_gpus / n_nodes);
    return static_cast<double>(gpu) * column() + static_cast<double>(node) * node_gap;
  }
  double bottom() const { return kTop + row * static_cast<double>(n_layers); }
};

double mean_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

std::string text_at(double x, double y, const std::string& style, const std::string& content) {
  return svg_element("text", {{"x", x}, {"y", y}, {"class", style}}, svg_text(content)) + "\n";
}

std::string rectangle(double x, double y, double width, double height, const std::string& fill) {
  return svg_element("rect",
                     {{"x", x}, {"y", y}, {"width", width}, {"height", height}, {"fill", fill}}) +
         "\n";
}

std::string path(const char* style, const std::string& d) {
  return svg_element("path", {{"class", style}, {"d", d}});
}

std::string circle(const char* style, double x, double y, double radius) {
  return svg_element("circle", {{"class", style}, {"cx", x}, {"cy", y}, {"r", radius}});
}

// One path per colour keeps a map of 61 layers on 320 GPUs below a megabyte.
std::string heat_map(const Grid& at, double left, const std::vector<std::vector<double>>& gpu) {
  std::map<int, std::string> cells;
  const double gap = at.row >= 6 ? 0.8 : 0.0;
  for (size_t layer = 0; layer < gpu.size(); ++layer) {
    const double mean = mean_of(gpu[layer]);
    for (size_t g = 0; g < gpu[layer].size(); ++g) {
      const double ratio = mean > 0 ? gpu[layer][g] / mean : 1.0;
      cells[colour_step(ratio)] += concat(
          "M", svg_number(left + at.gpu_x(static_cast<int64_t>(g))), " ",
          svg_number(kTop + at.row * static_cast<double>(layer)), "h", svg_number(at.column()), "v",
          svg_number(at.row - gap), "h-", svg_number(at.column()), "z");
    }
  }
  std::string svg;
  for (const auto& [step, path] : cells) {
    svg += svg_element("path", {{"fill", colour(step)}, {"d", path}}) + "\n";
  }
  return svg;
}

// The GPUs of one layer; `top_ratio` is the load over mean at the upper end of the axis.
std::string bars(const Grid& at, double left, const std::vector<double>& gpu, double top_ratio) {
  const double floor = at.bottom() + 44 + kBarsHeight, mean = mean_of(gpu);
  const double gap = at.column() > 4 ? 1.0 : 0.0;
  std::string svg;
  for (size_t g = 0; g < gpu.size(); ++g) {
    const double ratio = mean > 0 ? gpu[g] / mean : 1.0;
    const double height = kBarsHeight * ratio / top_ratio;
    svg += rectangle(left + at.gpu_x(static_cast<int64_t>(g)), floor - height, at.column() - gap,
                     height, colour(colour_step(ratio)));
  }
  const double y = floor - kBarsHeight / top_ratio;
  const auto across = [](double x, double at_y, double width) {
    return "M" + svg_number(x) + " " + svg_number(at_y) + "h" + svg_number(width);
  };
  return svg + path("mean", across(left - 4, y, kMapWidth + 8)) + "\n" +
         path("axis", across(left, floor, kMapWidth)) + "\n";
}

// For every layer a line from the heaviest GPU in order to the heaviest as placed.
std::string heaviest_dots(const Grid& at, double left, const LoadMaps& maps) {
  double top = 1.25;
  for (const LoadMap* map : {&maps.before, &maps.after}) {
    for (const double ratio : map->heaviest) top = std::max(top, ratio);
  }
  const double step = std::pow(10.0, std::floor(std::log10(top - 1.0)));
  const double tick = (top - 1.0) / step > 5 ? 2 * step : (top - 1.0) / step > 2 ? step : step / 2;
  const auto x_of = [&](double ratio) { return left + kDotsWidth * (ratio - 1.0) / (top - 1.0); };
  std::string svg;
  for (double ratio = 1.0; ratio <= top * 1.0001; ratio += tick) {
    svg += path("grid", "M" + svg_number(x_of(ratio)) + " " + svg_number(kTop - 2) + "V" +
                            svg_number(at.bottom())) +
           "\n";
    svg += text_at(x_of(ratio), at.bottom() + 14, "small middle", svg_number(ratio));
  }
  const double radius = std::clamp(at.row * 0.36, 1.4, 4.5);
  for (size_t layer = 0; layer < maps.layers.size(); ++layer) {
    const double y = kTop + at.row * (static_cast<double>(layer) + 0.5);
    const double from = maps.before.heaviest[layer], to = maps.after.heaviest[layer];
    const double before = x_of(from), after = x_of(to);
    svg +=
        svg_element("g", {},
                    svg_title(concat("layer ", maps.layers[layer], ": ", svg_number(from), " to ",
                                     svg_number(to), " x mean")) +
                        path("link", "M" + svg_number(before) + " " + svg_number(y) + "H" +
                                         svg_number(after)) +
                        circle("before", before, y, radius) + circle("after", after, y, radius)) +
        "\n";
  }
  return svg;
}

std::string layer_numbers(const Grid& at, const std::vector<int64_t>& layers) {
  const auto every = static_cast<size_t>(std::max(1.0, std::ceil(13.0 / at.row)));
  std::string svg;
  for (size_t layer = 0; layer < layers.size(); layer += every) {
    svg += text_at(kMapLeft - 8, kTop + at.row * (static_cast<double>(layer) + 0.5) + 3.5,
                   "small end", concat(layers[layer]));
  }
  return svg + text_at(kMapLeft - 8, kTop - 8, "small end", "layer");
}

std::string legend(double left, double y) {
  std::string svg;
  const double width = 4.0;
  for (int step = 0; step < kMapColours; ++step) {
    svg += rectangle(left + width * step, y, width + 0.3, 10, colour(step));
  }
  for (const double ratio : {0.0, 0.5, 1.0, 1.5, 2.0}) {
    svg += text_at(left + width * (kMapColours - 1) * ratio / kColourEnd + 2, y + 22,
                   "small middle", svg_number(ratio) + (ratio == kColourEnd ? "+" : ""));
  }
  return svg + text_at(left, y - 6, "small", "colour: GPU load / mean GPU");
}

constexpr const char* kMapStyle =
    "<style>text{font:13px system-ui,'DejaVu Sans',sans-serif;fill:#222}.title{font-size:19px;"
    "font-weight:600}.head{font-weight:600}.small{font-size:11px;fill:#555}.middle{text-anchor:"
    "middle}.end{text-anchor:end}.mean{stroke:#222;stroke-dasharray:4 3}.axis{stroke:#999}"
    ".grid{stroke:#e3e3e3}.link{stroke:#bbb;stroke-width:1.5}.before{fill:#c8553d}"
    ".after{fill:#1f7a8c}</style>\n";

}  // namespace

std::string load_maps_svg(const LoadMaps& maps) {
  const Grid at(maps);
  require(at.n_gpus <= 2048 && at.n_layers <= 256,
          {.field = "svg",
           .problem = "too much to draw",
           .found = {at.n_gpus, " GPUs and ", at.n_layers, " layers"},
           .expected = "at most 2048 and 256",
           .advice = "use {json}"});
  const double second = kMapLeft + kMapWidth + kMapGap, third = second + kMapWidth + kMapGap + 8;
  const double width = third + kDotsWidth + 30, height = at.bottom() + kBarsHeight + 74;
  const size_t shown = maps.shown_layer;
  const double top_ratio = std::max(maps.before.heaviest[shown], 1.0) * 1.05;

  std::string svg = concat("\n", kMapStyle);
  svg += svg_element("rect", {{"width", "100%"}, {"height", "100%"}, {"fill", "#fff"}}) + "\n";
  svg += text_at(kMapLeft, 30, "title", "Expert load per GPU");
  svg += text_at(kMapLeft, 50, "small", maps.subtitle);
  svg += legend(third, 30);
  const auto headed = [&](double left, const LoadMap& map) {
    svg += text_at(left, kTop - 24, "head", map.name);
    svg += text_at(left, kTop - 8, "small", "balancedness " + printed("%.3f", map.balancedness));
  };
  headed(kMapLeft, maps.before);
  headed(second, maps.after);
  svg += text_at(third, kTop - 24, "head", "Heaviest GPU / mean GPU");
  svg += circle("before", third + 4, kTop - 12, 4) + circle("after", third + 74, kTop - 12, 4);
  svg += "\n";
  svg += text_at(third + 12, kTop - 8, "small", "in order");
  svg += text_at(third + 82, kTop - 8, "small", "placed");
  svg += layer_numbers(at, maps.layers);
  svg += heat_map(at, kMapLeft, maps.before.gpu);
  svg += heat_map(at, second, maps.after.gpu);
  svg += heaviest_dots(at, third, maps);
  svg += text_at(kMapLeft, at.bottom() + 26, "small",
                 concat("GPUs of layer ", maps.layers[shown],
                        ", the worst in order; the dashed line is the mean"));
  svg += bars(at, kMapLeft, maps.before.gpu[shown], top_ratio);
  svg += bars(at, second, maps.after.gpu[shown], top_ratio);
  svg += text_at(kMapLeft + kMapWidth / 2, at.bottom() + kBarsHeight + 62, "small middle", "GPU");
  svg += text_at(second + kMapWidth / 2, at.bottom() + kBarsHeight + 62, "small middle", "GPU");
  return svg_element("svg",
                     {{"xmlns", "http://www.w3.org/2000/svg"},
                      {"viewBox", "0 0 " + svg_number(width) + " " + svg_number(height)},
                      {"width", width},
                      {"height", height}},
                     svg) +
         "\n";
}

}  // namespace hadal
