// draw/heat_map.h: a table of shares as a picture: white 0, dark green 1, each cell with its text.
#pragma once

#include <string>
#include <vector>

namespace hadal {

struct HeatMap {
  std::string title, row_name, column_name;
  std::vector<std::string> rows, columns;
  std::vector<std::vector<double>> share;      // [rows][columns], 0 to 1; NaN: not known
  std::vector<std::vector<std::string>> text;  // [rows][columns]
};

std::string heat_map_svg(const HeatMap& map);

}  // namespace hadal
