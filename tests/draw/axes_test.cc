// Where things lie: the directions and ends of the axes, and what a colour stands for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "hadal/draw/line_chart.h"
#include "hadal/draw/load_maps.h"
#include "hadal/draw/time_scale.h"

namespace hadal {
namespace {

using ::testing::HasSubstr;

// Pixels from the top of the dot with this title.
double height_of_dot(const std::string& svg, const std::string& title) {
  const size_t circle = svg.rfind("<circle", svg.find("<title>" + title));
  return std::strtod(svg.c_str() + svg.find("cy=\"", circle) + 4, nullptr);
}

TEST(Axes, LargerValuesLieHigherAndFurtherRight) {
  LineChart chart{
      .title = "t", .subtitle = "", .x_label = "x", .x_logarithmic = false, .panels = {}};
  for (const bool logarithmic : {false, true}) {
    chart.panels = {{"y", logarithmic, {{"line", {1, 2}, {10, 30}}}}};
    const std::string svg = line_chart_svg(chart);
    EXPECT_LT(height_of_dot(svg, "line: 2, 30"), height_of_dot(svg, "line: 1, 10"));
    EXPECT_THAT(svg, HasSubstr("d=\"M96 "));  // the first value at the left end of the axis
    EXPECT_THAT(svg, HasSubstr("L730 "));     // the last at the right one
  }
}

TEST(TimeScale, WindowsFillTheWidthWithACutBetweenThem) {
  const TimeScale one({{0, 10}}, 100, 500);
  EXPECT_DOUBLE_EQ(one.left(0), 100);
  EXPECT_DOUBLE_EQ(one.right(0), 600);
  const TimeScale two({{0, 10}, {90, 120}}, 100, 500);
  EXPECT_DOUBLE_EQ(two.left(0), 100);
  EXPECT_DOUBLE_EQ(two.left(1) - two.right(0), TimeScale::kCutWidth);
  EXPECT_DOUBLE_EQ(two.right(1), 600);
  EXPECT_DOUBLE_EQ(two.right(1) - two.left(1), 3 * (two.right(0) - two.left(0)));
}

TEST(LoadMaps, ColoursAreOfTheLoadOverTheMean) {
  LoadMaps maps;
  maps.layers = {0};
  maps.n_gpus = 2;
  maps.before = {"before", 1, {{1, 1}}, {1}};
  maps.after = {"after", 0.5, {{0, 4}}, {2}};
  const std::string svg = load_maps_svg(maps);
  EXPECT_THAT(svg, HasSubstr("<path fill=\"#eef0ec\" d=\"M64 "));  // both at the mean: nearly white
  EXPECT_THAT(svg, HasSubstr("<path fill=\"#215294\" d=\"M532 "));  // nothing: blue
  EXPECT_THAT(svg, HasSubstr("<path fill=\"#961422\" d=\"M752 "));  // twice the mean: dark red
}

}  // namespace
}  // namespace hadal
