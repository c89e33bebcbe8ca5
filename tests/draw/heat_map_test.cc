#include "hadal/draw/heat_map.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/well_formed.h"

namespace hadal {
namespace {

TEST(HeatMap, IsWellFormedAndShowsEveryCell) {
  HeatMap map;
  map.title = "found < all & more";
  map.row_name = "depth";
  map.column_name = "tokens";
  map.rows = {"0", "0.5"};
  map.columns = {"1024", "4096", "16384"};
  map.share = {{0, 0.5, 1}, {1, std::nan(""), 2}};
  map.text = {{"a1", "a2", "a3"}, {"b1", "b2", "b3"}};
  const std::string svg = heat_map_svg(map);
  EXPECT_TRUE(test::is_well_formed(svg));
  for (const char* text : {"a1", "a2", "a3", "b1", "b2", "b3", "1024", "0.5", "found &lt; all"}) {
    EXPECT_NE(svg.find(text), std::string::npos) << text;
  }
  EXPECT_NE(svg.find("#186a40"), std::string::npos) << "all, and what is beyond";
  EXPECT_NE(svg.find("#dddddd"), std::string::npos) << "not known";
}

}  // namespace
}  // namespace hadal
