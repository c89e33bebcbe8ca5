#include "hadal/pipeline/timeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <regex>

#include "hadal/core/error.h"
#include "hadal/draw/timeline_svg.h"
#include "hadal/draw/timeline_text.h"
#include "tests/support/refusal.h"
#include "tests/support/well_formed.h"

namespace hadal {
namespace {

using test::count;
using test::is_well_formed;
using ::testing::HasSubstr;
using ::testing::Not;

struct Drawn {
  PipelineSchedule schedule;
  Simulation simulation;
  explicit Drawn(PipelineSchedule value, const PipelineTimes& times = {})
      : schedule(std::move(value)), simulation(simulate(schedule, times)) {}
  TimelineChart chart() const { return pipeline_timeline({{&schedule, &simulation}}); }
};

TEST(TimelineSvg, ShowsEveryRankItsBoxesAndFigures) {
  const Drawn dualpipe(make_schedule(ScheduleKind::kDualPipe, 8, 20));
  const std::string svg = timeline_svg(dualpipe.chart());
  EXPECT_TRUE(is_well_formed(svg));
  for (int rank = 0; rank < 8; ++rank) {
    EXPECT_THAT(svg, HasSubstr(">rank " + std::to_string(rank) + "</text>"));
  }
  EXPECT_EQ(count(svg, ">9.1 %</text>"), 8u);  // 6 / 66 on every rank
  EXPECT_THAT(svg, HasSubstr("DualPipe, 8 stages on 8 ranks, 20 micro-batches"));
  EXPECT_THAT(svg, HasSubstr("makespan 66"));
  // One tooltip per box, both halves of a pair; and one per row.
  size_t n_halves = 0;
  for (const TimedAction& box : dualpipe.simulation.timeline)
    n_halves += box.action.is_pair() ? 2 : 1;
  EXPECT_EQ(count(svg, "<title>"), n_halves + 8);
  // Both directions: each stage's forward of 10 micro-batches in either tone, beside the legend's
  // four swatches (F, and the upper and lower halves of the pair).
  EXPECT_EQ(count(svg, "<rect class=\"F0\""), 80u + 2);
  EXPECT_EQ(count(svg, "<rect class=\"F1\""), 80u + 2);
}

TEST(TimelineSvg, BoxesStandWhereTheyBelong) {
  PipelineTimes times;
  times.stages = {{1, 2, 1}};
  const Drawn one(make_schedule(ScheduleKind::k1F1B, 1, 1), times);  // F 0-1, B 1-4
  const std::string svg = timeline_svg(one.chart());
  const std::regex box(
      "<rect class=\"([FB])0\" x=\"([0-9.]+)\"[^>]*width=\"([0-9.]+)\"[^>]*><title>");
  std::map<std::string, std::pair<double, double>> found;
  for (auto it = std::sregex_iterator(svg.begin(), svg.end(), box); it != std::sregex_iterator();
       ++it) {
    found[(*it)[1]] = {std::stod((*it)[2]), std::stod((*it)[3])};
  }
  ASSERT_EQ(found.size(), 2u);
  const double unit = found["B"].first - found["F"].first;
  EXPECT_NEAR(found["F"].second, unit, 1);  // up to the seam between boxes
  EXPECT_NEAR(found["B"].second, 3 * unit, 1);
}

TEST(TimelineSvg, NumbersAppearOnlyWhereTheyFit) {
  const Drawn small(make_schedule(ScheduleKind::k1F1B, 4, 8));
  EXPECT_GT(count(timeline_svg(small.chart()), "class=\"n0\""), 50u);
  const Drawn large(make_schedule(ScheduleKind::k1F1B, 64, 256));
  EXPECT_EQ(count(timeline_svg(large.chart()), "class=\"n0\""), 0u);
}

TEST(TimelineSvg, ALongTimelineIsCutAndSaysSo) {
  const Drawn large(make_schedule(ScheduleKind::kDualPipe, 64, 3000));
  ASSERT_GT(large.simulation.timeline.size(), static_cast<size_t>(kMaxDrawnBoxes));
  const std::string svg = timeline_svg(large.chart());
  EXPECT_TRUE(is_well_formed(svg));
  EXPECT_LT(svg.size(), 2'000'000u);
  EXPECT_THAT(svg, HasSubstr("Not drawn: the steady state from"));
  EXPECT_THAT(svg, HasSubstr(">rank 63</text>"));
}

TEST(TimelineSvg, ManyBoxesBecomeOneShapePerRowAndColour) {
  const Drawn many(make_schedule(ScheduleKind::k1F1B, 32, 256));
  const std::string svg = timeline_svg(many.chart());
  EXPECT_EQ(count(svg, "<path"), 32u * 2);
  EXPECT_EQ(count(svg, "<title>"), 32u);
}

TEST(TimelineSvg, ZoomShowsAPart) {
  const Drawn drawn(make_schedule(ScheduleKind::k1F1B, 4, 8));
  const std::string svg = timeline_svg(drawn.chart(), TimeWindow{0, 3});
  // Rank r starts at r: three boxes of rank 0, two of rank 1, one of rank 2; and a title per row.
  EXPECT_EQ(count(svg, "<title>F of"), 6u);
  test::expect_refused<ConfigError>(
      [&] {
        timeline_svg(drawn.chart(), TimeWindow{500, 600});
      },
      "zoom: nothing there");
  test::expect_refused<ConfigError>(
      [&] {
        timeline_svg(drawn.chart(), TimeWindow{3, 3});
      },
      "zoom: nothing there");
}

TEST(TimelineSvg, ComparesSchedulesOnOneAxis) {
  std::vector<Drawn> drawn;
  std::vector<SimulatedSchedule> shown;
  for (const std::string& name : schedule_names()) {
    drawn.emplace_back(make_schedule(parse_schedule_kind(name), 8, 20));
  }
  for (const Drawn& one : drawn) shown.push_back({&one.schedule, &one.simulation});
  const std::string svg = timeline_svg(pipeline_timeline(shown));
  EXPECT_TRUE(is_well_formed(svg));
  for (const char* title :
       {">1F1B<", ">ZB1P<", ">DualPipe<", ">DualPipeV<", ">Interleaved<", ">ZBV<"}) {
    EXPECT_THAT(svg, HasSubstr(title));
  }
  EXPECT_EQ(count(svg, ">rank 7</text>"), 3u);  // the others put 8 stages on 4 ranks
}

TEST(TimelineSvg, ANameFromAFileCannotBreakThePicture) {
  Drawn drawn(make_schedule(ScheduleKind::k1F1B, 2, 2));
  drawn.schedule.name = "</svg><script>alert(\"&\")\x01";
  const std::string svg = timeline_svg(drawn.chart());
  EXPECT_TRUE(is_well_formed(svg));
  EXPECT_THAT(svg, Not(HasSubstr("<script")));
}

TEST(TimelineSvg, NothingToDoIsStillAPicture) {
  PipelineTimes times;
  times.stages = {{0, 0, 0}};
  const Drawn drawn(make_schedule(ScheduleKind::k1F1B, 2, 2), times);
  EXPECT_TRUE(is_well_formed(timeline_svg(drawn.chart())));
}

TEST(TimelineText, OneCharacterPerUnit) {
  const Drawn zb1p(make_schedule(ScheduleKind::kZb1p, 2, 3));
  const std::string text = timeline_text(zb1p.chart(), 19, false);
  // Worked out by hand: rank 1 keeps one W back for the end.
  EXPECT_THAT(text, HasSubstr("rank 0   FF.IWFIWIW\nrank 1   .FIFIWFIWW\n"));
  EXPECT_EQ(timeline_text(zb1p.chart(), 18, false), "");  // too narrow
}

TEST(TimelineText, ColourPaintsKindsAndNumbersBoxes) {
  const Drawn dualpipe(make_schedule(ScheduleKind::kDualPipe, 2, 4));
  const std::string text = timeline_text(dualpipe.chart(), 21, true);
  // F of micro-batch 0 black on light blue, of 2 (the other direction) white on deep blue; the
  // first pair of rank 1 has a light forward above a deep backward.
  EXPECT_THAT(text, HasSubstr("rank 0   \x1b[38;5;16;48;5;117m0\x1b[0m\x1b[38;5;231;48;5;25m2"));
  EXPECT_THAT(text, HasSubstr("\x1b[38;5;117;48;5;29m\u2580\u2580\u2580\x1b[0m"));
}

TEST(TimelineText, SmallLettersForTheSecondStage) {
  const Drawn dualpipe(make_schedule(ScheduleKind::kDualPipe, 2, 4));
  const std::string text = timeline_text(dualpipe.chart(), 21, false);
  EXPECT_THAT(text, HasSubstr("rank 0   F"));
  EXPECT_THAT(text, HasSubstr("rank 1   f"));
  EXPECT_THAT(text, HasSubstr("small letters"));
}

}  // namespace
}  // namespace hadal
