#include "hadal/draw/line_chart.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/well_formed.h"

namespace hadal {
namespace {

using test::count;
using test::is_well_formed;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

LineChart two_lines() {
  return {.title = "speed",
          .subtitle = "",
          .x_label = "GPUs",
          .x_logarithmic = true,
          .panels = {{"tokens/s",
                      true,
                      {{"planned", {1, 2, 4}, {10, 19, 36}}, {"ideal", {1, 2, 4}, {10, 20, 40}}}}}};
}

TEST(LineChart, HasLinesAxesLegendAndLabels) {
  const std::string svg = line_chart_svg(two_lines());
  EXPECT_TRUE(is_well_formed(svg));
  EXPECT_EQ(count(svg, "class=\"curve\""), 2u);
  EXPECT_EQ(count(svg, "<circle"), 6u);
  EXPECT_EQ(count(svg, ">planned</text>"), 2u);  // legend and end of line
  for (const char* text : {">speed<", ">GPUs, logarithmic<", ">tokens/s, logarithmic<", ">4<"}) {
    EXPECT_THAT(svg, HasSubstr(text));
  }
  EXPECT_THAT(svg, HasSubstr("<title>planned: 4, 36</title>"));
}

TEST(LineChart, LeavesGapsAndDrawsNothingThatIsNotFinite) {
  LineChart chart = two_lines();
  const double none = std::numeric_limits<double>::quiet_NaN();
  chart.panels[0].lines[0].y = {10, none, 36};
  const std::string with_gap = line_chart_svg(chart);
  const size_t path = with_gap.find("<path d=\"M");
  const std::string first = with_gap.substr(path, with_gap.find("/>", path) - path);
  EXPECT_EQ(count(first, "M"), 2u) << "the pen is lifted over the gap";
  EXPECT_EQ(count(first, "L"), 0u);
  chart.panels[0].lines[1].y = {none, none, none};
  chart.panels[0].lines.push_back({"not positive", {1, 2, 4}, {0, -1, INFINITY}});
  const std::string svg = line_chart_svg(chart);
  EXPECT_TRUE(is_well_formed(svg));
  EXPECT_EQ(count(svg, "<circle"), 2u);
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(svg, Not(HasSubstr("inf")));
}

TEST(LineChart, SurvivesFlatEmptyAndHugeData) {
  LineChart chart = two_lines();
  chart.x_logarithmic = chart.panels[0].logarithmic = false;
  for (const std::vector<double>& y : {std::vector<double>{0, 0, 0},
                                       {5, 5, 5},
                                       {-3, -3, -3},
                                       {1e300, 2e300, 1},
                                       {1e-300, 0, 0},
                                       {}}) {
    chart.panels[0].lines = {{"y", {1, 2, 4}, y}};
    const std::string svg = line_chart_svg(chart);
    EXPECT_TRUE(is_well_formed(svg));
    EXPECT_THAT(svg, Not(HasSubstr("nan")));
    EXPECT_LT(svg.size(), 20000u);
  }
  chart.panels.clear();
  EXPECT_TRUE(is_well_formed(line_chart_svg(chart)));
}

TEST(LineChart, EscapesNames) {
  LineChart chart = two_lines();
  chart.title = "a<b & \"c\"";
  chart.panels[0].lines[0].name = "</svg>";
  const std::string svg = line_chart_svg(chart);
  EXPECT_TRUE(is_well_formed(svg));
  EXPECT_THAT(svg, HasSubstr("a&lt;b &amp; &quot;c&quot;"));
  EXPECT_EQ(count(svg, "</svg>"), 1u);
}

TEST(LineChart, TicksAreRound) {
  EXPECT_THAT(linear_ticks(0, 10, 5), ElementsAre(0, 2, 4, 6, 8, 10));
  EXPECT_THAT(linear_ticks(0, 0.35, 6),
              ElementsAre(0, 0.1, ::testing::DoubleEq(0.2), ::testing::DoubleNear(0.3, 1e-12)));
  EXPECT_THAT(logarithmic_ticks(3, 60), ElementsAre(5, 10, 20, 50));
  EXPECT_THAT(logarithmic_ticks(1, 1e6).size(), 7u);
}

TEST(LineChart, TickTexts) {
  EXPECT_EQ(tick_text(16384), "16,384");
  EXPECT_EQ(tick_text(131072), "131,072");
  EXPECT_EQ(tick_text(2.5e6), "2.5M");
  EXPECT_EQ(tick_text(14.8e12), "14.8T");
  EXPECT_EQ(tick_text(0.0034), "0.0034");
  EXPECT_EQ(tick_text(-0.0), "0");
  EXPECT_EQ(tick_text(-2000), "-2,000");
}

}  // namespace
}  // namespace hadal
