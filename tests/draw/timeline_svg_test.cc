#include "hadal/draw/timeline_svg.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hadal/draw/timeline_text.h"
#include "tests/support/well_formed.h"

namespace hadal {
namespace {

using test::count;
using test::is_well_formed;
using ::testing::HasSubstr;

// Schedules as timelines are tests/pipeline/timeline_test.cc; here the values are by hand.
TimelineChart by_hand() {
  TimelineChart chart;
  chart.title = "a day";
  chart.tones = "deep: the night";
  chart.figure_name = "meals";
  chart.panels.push_back({.name = "one", .facts = "", .end = 6, .rows = {}});
  TimelineRow row{
      .label = "cook", .tooltip = "rests", .boxes = {}, .idle_share = 0.5, .figure = "3"};
  row.boxes.push_back({.start = 0, .end = 1, .parts = {{{'F', 0, 7}, {}}}});
  row.boxes.push_back(
      {.start = 2, .end = 4, .parts = {{{'F', 1, 8}, {'B', 0, 9}}}, .is_pair = true});
  chart.panels[0].rows.push_back(row);
  chart.box_tooltip = [](size_t, size_t, size_t box) { return "box " + std::to_string(box); };
  return chart;
}

TEST(TimelineDrawing, ShowsWhatItsValuesSay) {
  const std::string svg = timeline_svg(by_hand());
  EXPECT_TRUE(is_well_formed(svg));
  for (const char* text : {">a day<", ">cook<", ">50.0 %<", ">meals<", ">3<", ">7<", ">8<", ">9<",
                           "Tones: deep: the night.", "<title>rests</title>"}) {
    EXPECT_THAT(svg, HasSubstr(text));
  }
  EXPECT_EQ(count(svg, "<title>box 0</title>"), 1u);
  EXPECT_EQ(count(svg, "<title>box 1</title>"), 2u);  // either half of the pair
}

TEST(TimelineDrawing, TextShowsTheSameBoxes) {
  EXPECT_THAT(timeline_text(by_hand(), 15, false), HasSubstr("cook     F.xx..\n"));
  EXPECT_EQ(timeline_text(by_hand(), 14, false), "");  // no room for a character a unit
}

}  // namespace
}  // namespace hadal
