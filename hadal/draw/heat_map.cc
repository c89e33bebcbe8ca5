#include "hadal/draw/heat_map.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "hadal/draw/svg.h"

namespace hadal {
namespace {

constexpr double kTableLeft = 96, kTableTop = 72, kTableCellWidth = 76, kTableCellHeight = 34;

std::string table_colour(double share) {
  if (std::isnan(share)) return "#dddddd";
  constexpr std::array<double, 3> kNone = {250, 250, 246}, kAll = {24, 106, 64};
  const double t = std::clamp(share, 0.0, 1.0);
  char text[8];
  const auto channel = [&](size_t c) {
    return static_cast<unsigned>(std::lround(kNone[c] + t * (kAll[c] - kNone[c]))) & 255U;
  };
  std::snprintf(text, sizeof text, "#%02x%02x%02x", channel(0), channel(1), channel(2));
  return text;
}

std::string table_label(double x, double y, std::string_view anchor, std::string_view text,
                        std::string_view fill = "#222222") {
  return svg_element("text", {{"x", x}, {"y", y}, {"text-anchor", anchor}, {"fill", fill}},
                     svg_text(text));
}

}  // namespace

std::string heat_map_svg(const HeatMap& map) {
  const double n_rows = static_cast<double>(map.rows.size()),
               n_columns = static_cast<double>(map.columns.size());
  const double width = kTableLeft + n_columns * kTableCellWidth + 24,
               height = kTableTop + n_rows * kTableCellHeight + 24;
  std::string body = svg_element(
      "rect", {{"x", 0.0}, {"y", 0.0}, {"width", width}, {"height", height}, {"fill", "#ffffff"}});
  body += table_label(16, 24, "start", map.title);
  body += table_label(kTableLeft - 10, kTableTop - 10, "end", map.row_name, "#666666");
  body += table_label(kTableLeft, kTableTop - 30, "start", map.column_name, "#666666");
  for (size_t c = 0; c < map.columns.size(); ++c) {
    body += table_label(kTableLeft + (static_cast<double>(c) + 0.5) * kTableCellWidth,
                        kTableTop - 10, "middle", map.columns[c]);
  }
  for (size_t r = 0; r < map.rows.size(); ++r) {
    const double y = kTableTop + static_cast<double>(r) * kTableCellHeight;
    body += table_label(kTableLeft - 10, y + kTableCellHeight / 2 + 4, "end", map.rows[r]);
    for (size_t c = 0; c < map.columns.size(); ++c) {
      const double x = kTableLeft + static_cast<double>(c) * kTableCellWidth,
                   share = map.share[r][c];
      body += svg_element("rect", {{"x", x},
                                   {"y", y},
                                   {"width", kTableCellWidth - 2},
                                   {"height", kTableCellHeight - 2},
                                   {"fill", table_colour(share)},
                                   {"stroke", "#cccccc"}});
      body += table_label(x + kTableCellWidth / 2 - 1, y + kTableCellHeight / 2 + 4, "middle",
                          map.text[r][c], share > 0.5 ? "#ffffff" : "#222222");
    }
  }
  return svg_element("svg",
                     {{"xmlns", "http://www.w3.org/2000/svg"},
                      {"width", width},
                      {"height", height},
                      {"font-family", "sans-serif"},
                      {"font-size", 12.0}},
                     body);
}

}  // namespace hadal
