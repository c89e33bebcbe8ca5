#include "hadal/plan/sweep.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "hadal/cli/sweep_axis.h"
#include "hadal/core/error.h"
#include "tests/support/refusal.h"

namespace hadal {
namespace {

using cli::parse_sweep_axis;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;

std::string axis_error(const std::string& axis) {
  return test::error_of([&] { parse_sweep_axis(axis, "vary"); });
}

Worksheet rectangle() {
  Worksheet sheet;
  sheet.section("one", "One");
  sheet.input("width", 3, "m", Origin::kAssumed, "");
  sheet.input("height", 5, "m", Origin::kGiven, "");
  sheet.formula("area", "width * height", "m2", "");
  sheet.formula("inverse", "1 / width", "1/m", "");
  return sheet;
}
Refusal no_judge(const Worksheet&) { return {}; }

TEST(SweepAxis, ReadsListsAndRanges) {
  EXPECT_THAT(parse_sweep_axis("width=4,1,2.5e3", "vary").values, ElementsAre(4, 1, 2500));
  EXPECT_THAT(parse_sweep_axis("tokens=1T,2.5M", "vary").values, ElementsAre(1e12, 2.5e6));
  EXPECT_THAT(parse_sweep_axis("width=1:9:5", "vary").values, ElementsAre(1, 3, 5, 7, 9));
  EXPECT_THAT(parse_sweep_axis("width=9:1:3", "vary").values, ElementsAre(9, 5, 1));
  EXPECT_THAT(parse_sweep_axis("width=7:9:1", "vary").values, ElementsAre(7));
  const SweepAxis doubled = parse_sweep_axis("gpus=256:16384:x2", "vary");
  EXPECT_EQ(doubled.name, "gpus");
  EXPECT_THAT(doubled.values, ElementsAre(256, 512, 1024, 2048, 4096, 8192, 16384));
  EXPECT_TRUE(doubled.geometric);
  // The last value is met in spite of rounding: 0.1 * 10 * 10 is a little off 10.
  EXPECT_THAT(parse_sweep_axis("x=0.1:10:x10", "vary").values, SizeIs(3));
}

TEST(SweepAxis, RefusesWhatIsNoAxis) {
  EXPECT_THAT(axis_error("width"), StartsWith("vary: no values to vary (found \"width\""));
  for (const char* text : {"width=", "=1,2", "", "="}) {
    EXPECT_THAT(axis_error(text), HasSubstr("no values to vary")) << text;
  }
  for (const char* text : {"a=1,,2", "a=1,2,", "a=one", "a=1e999", "a=nan", "a=inf", "a=1:b:3",
                           "a=1:2:x", "a=0x10", "a=1 2"}) {
    EXPECT_THAT(axis_error(text), HasSubstr("not a number")) << text;
  }
  EXPECT_THAT(axis_error("a=1:2"), HasSubstr("three parts"));
  EXPECT_THAT(axis_error("a=1:2:"), HasSubstr("three parts"));
  for (const char* text : {"a=1:2:0", "a=1:2:-3", "a=1:2:2.5", "a=1:2:1e18"}) {
    EXPECT_THAT(axis_error(text), HasSubstr("needs a number of values")) << text;
  }
  for (const char* text : {"a=1:8:x1", "a=1:8:x0.5", "a=8:1:x2", "a=0:8:x2", "a=-8:-1:x2"}) {
    EXPECT_THAT(axis_error(text), HasSubstr("goes up")) << text;
  }
  // Bounded in time and memory.
  EXPECT_THAT(axis_error("a=1:1e300:x1.0000001"), HasSubstr("too many values"));
  std::string many = "a=1";
  for (int i = 0; i < 1000; ++i) many += ",1";
  EXPECT_THAT(axis_error(many), HasSubstr("too many values"));
}

TEST(Sweep, ComputesEveryCombinationAndRestoresTheSheet) {
  Worksheet sheet = rectangle();
  sheet.set("width", 4);  // as --set would
  const SweepTable table =
      sweep(sheet, {parse_sweep_axis("width=1,2", ""), parse_sweep_axis("height=10,20,30", "")},
            {"area", "inverse"}, no_judge);
  ASSERT_THAT(table.rows, SizeIs(6));
  EXPECT_THAT(table.rows[0], ElementsAre(1, 10, 10, 1));
  EXPECT_THAT(table.rows[2], ElementsAre(1, 30, 30, 1));
  EXPECT_THAT(table.rows[4], ElementsAre(2, 20, 40, 0.5));
  EXPECT_EQ(sheet.value("width"), 4);
  EXPECT_EQ(sheet.value("height"), 5);
  EXPECT_EQ(sheet.cell("width").origin, Origin::kGiven);
  sheet.reset("width");
  sweep(sheet, {{"width", {1, 2}}}, {"area"}, no_judge);
  EXPECT_EQ(sheet.value("area"), 15);
  EXPECT_EQ(sheet.cell("width").origin, Origin::kAssumed);
}

TEST(Sweep, SaysWhatARowLacks) {
  Worksheet sheet = rectangle();
  const SweepTable table = sweep(sheet, {parse_sweep_axis("width=0,1,2", "")}, {"inverse"},
                                 [](const Worksheet& s) -> Refusal {
                                   if (s.value("width") != 2) return {};
                                   return Complaint{.problem = "two is not allowed"};
                                 });
  EXPECT_TRUE(std::isnan(table.rows[0][1]));
  EXPECT_EQ(table.problems[0].field, "inverse");
  EXPECT_THAT(table.problems[0].found, StartsWith("inf"));
  EXPECT_EQ(table.rows[1][1], 1);
  EXPECT_TRUE(table.problems[1].empty());
  EXPECT_TRUE(std::isnan(table.rows[2][1]));
  EXPECT_EQ(table.problems[2].problem, "two is not allowed");
  EXPECT_EQ(sweep_csv(table), "width,inverse\n0,\n1,1\n2,\n");
  const Json json = parse_json(sweep_json(table).dump(), "json");
  EXPECT_TRUE(json.at("rows").as_array()[0].as_array()[1].is_null());
  EXPECT_EQ(json.at("problems").at("2").as_string(), "two is not allowed");
}

TEST(Sweep, NamesTheNearestCell) {
  Worksheet sheet = rectangle();
  const auto error = [&](const std::string& axis, const std::string& shown) -> std::string {
    try {
      sweep(sheet, {parse_sweep_axis(axis, "")}, {shown}, no_judge);
    } catch (const ConfigError& e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_THAT(error("widht=1", "area"), ::testing::AllOf(StartsWith("vary: "), HasSubstr("width")));
  EXPECT_THAT(error("width=1", "aera"), ::testing::AllOf(StartsWith("show: "), HasSubstr("area")));
  test::expect_refused<ConfigError>([&] { sweep(sheet, {}, {"area"}, no_judge); },
                                    "vary: one or two cells can vary");
  test::expect_refused<ConfigError>(
      [&] {
        sweep(sheet, {{"width", {1}}, {"width", {2}}}, {"area"}, no_judge);
      },
      "vary: the same cell twice");
  test::expect_refused<ConfigError>(
      [&] {
        sweep(sheet, {{"width", {1}}, {"height", {2}}, {"area", {2}}}, {"area"}, no_judge);
      },
      "vary: one or two cells can vary");
  test::expect_refused<ConfigError>(
      [&] {
        sweep(sheet, {{"width", {1}}}, {}, no_judge);
      },
      "show: nothing to show");
  test::expect_refused<ConfigError>(
      [&] {
        sweep(sheet, {{"width", {0, 0}}}, {"inverse"}, no_judge);
      },
      "vary: no value is possible");
}

TEST(Sweep, CsvNumbersReadBack) {
  SweepTable table;
  table.columns = {{"a", ""}, {"b", "s"}};
  table.rows = {{1.0 / 3, 14.8e12}, {-0.1, 5e-324}};
  EXPECT_EQ(sweep_csv(table), "a,b\n0.3333333333333333,1.48e+13\n-0.1,5e-324\n");
  EXPECT_EQ(sweep_csv(table, {"x,y", "z"}),
            "a,b,remark\n0.3333333333333333,1.48e+13,\"x,y\"\n-0.1,5e-324,\"z\"\n");
}

TEST(Sweep, ChartHasALinePerSecondValueAndAPanelPerUnit) {
  Worksheet sheet = rectangle();
  const LineChart two =
      sweep_chart(sweep(sheet, {parse_sweep_axis("width=1:8:x2", ""), {"height", {1, 2}}},
                        {"area", "inverse"}, no_judge),
                  "title");
  ASSERT_THAT(two.panels, SizeIs(2));
  ASSERT_THAT(two.panels[0].lines, SizeIs(2));
  EXPECT_EQ(two.panels[0].lines[1].name, "height 2");
  EXPECT_THAT(two.panels[0].lines[1].x, ElementsAre(1, 2, 4, 8));
  EXPECT_THAT(two.panels[0].lines[1].y, ElementsAre(2, 4, 8, 16));
  EXPECT_TRUE(two.x_logarithmic);
  EXPECT_TRUE(two.panels[0].logarithmic);  // 1 to 16

  const LineChart one = sweep_chart(
      sweep(sheet, {{"width", {1, 2}}}, {"height", "width", "area"}, no_judge), "title");
  ASSERT_THAT(one.panels, SizeIs(2));
  EXPECT_THAT(one.panels[0].lines, SizeIs(2));  // both in m
  EXPECT_FALSE(one.x_logarithmic);
}

}  // namespace
}  // namespace hadal
