#include "hadal/pipeline/timeline_trace.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "hadal/core/json.h"

namespace hadal {
namespace {

struct Parsed {
  std::vector<Json> slices, starts, ends, names;
};

Parsed parse(const std::string& text) {
  Parsed result;
  const Json root = parse_json(text, "trace");
  for (const Json& event : root.at("traceEvents").as_array()) {
    const std::string& phase = event.at("ph").as_string();
    if (phase == "X") result.slices.push_back(event);
    if (phase == "s") result.starts.push_back(event);
    if (phase == "f") result.ends.push_back(event);
    if (phase == "M") result.names.push_back(event);
  }
  return result;
}

int64_t nanoseconds(const Json& microseconds) {
  return std::llround(microseconds.as_number() * 1000);
}

TEST(TimelineTrace, SlicesOfARankTouchButNeverOverlap) {
  // Tenths are not exact in binary: rounding start and duration each would overlap by a nanosecond.
  PipelineTimes times;
  times.stages = {{0.1 / 3, 0.2 / 3, 0.1 / 7}};
  const PipelineSchedule schedule = make_schedule(ScheduleKind::kDualPipe, 8, 20);
  const Simulation simulation = simulate(schedule, times);
  const Parsed trace = parse(timeline_trace(schedule, simulation));
  ASSERT_EQ(trace.slices.size(), simulation.timeline.size());
  std::map<int64_t, int64_t> free_at;
  for (const Json& slice : trace.slices) {
    const int64_t rank = slice.at("tid").as_integer(), start = nanoseconds(slice.at("ts"));
    EXPECT_GE(start, free_at[rank]);
    free_at[rank] = start + nanoseconds(slice.at("dur"));
  }
  EXPECT_EQ(free_at.size(), 8u);
  for (const auto& [rank, end] : free_at) {
    EXPECT_LE(end, std::llround(simulation.makespan * 1e6) + 1) << rank;
  }
}

TEST(TimelineTrace, EveryTransferIsAnArrowBetweenTwoSlices) {
  const PipelineSchedule schedule = make_schedule(ScheduleKind::kDualPipeV, 8, 9);
  const Simulation simulation = simulate(schedule, {});
  const Parsed trace = parse(timeline_trace(schedule, simulation));
  // 4 ranks: 6 of the 7 borders between stages lie between ranks; forward and back.
  ASSERT_EQ(trace.starts.size(), 2u * 6 * 9);
  ASSERT_EQ(trace.ends.size(), trace.starts.size());
  const auto inside = [&](const Json& event) {
    const int64_t time = nanoseconds(event.at("ts"));
    for (const Json& slice : trace.slices) {
      const int64_t start = nanoseconds(slice.at("ts"));
      if (slice.at("tid") == event.at("tid") && start <= time &&
          time < start + nanoseconds(slice.at("dur"))) {
        return true;
      }
    }
    return false;
  };
  for (size_t i = 0; i < trace.starts.size(); ++i) {
    const Json &start = trace.starts[i], &end = trace.ends[i];
    EXPECT_EQ(start.at("id"), end.at("id"));
    EXPECT_EQ(start.at("name"), end.at("name"));  // the format pairs by name, category and id
    EXPECT_EQ(start.at("cat"), end.at("cat"));
    EXPECT_EQ(end.at("bp").as_string(), "e");
    EXPECT_LE(nanoseconds(start.at("ts")), nanoseconds(end.at("ts")));
    EXPECT_EQ(std::abs(start.at("tid").as_integer() - end.at("tid").as_integer()), 1);
    EXPECT_TRUE(inside(start));
    EXPECT_TRUE(inside(end));
  }
}

TEST(TimelineTrace, NamesEveryRankAndPassesAnyScheduleName) {
  PipelineSchedule schedule = make_schedule(ScheduleKind::k1F1B, 3, 3);
  schedule.name = "a \"quoted\"\nname";
  const std::string text = timeline_trace(schedule, simulate(schedule, {}));
  EXPECT_EQ(parse_json(text, "trace").at("otherData").at("schedule").as_string(), schedule.name);
  std::set<std::string> names;
  for (const Json& event : parse(text).names) {
    if (event.at("name").as_string() == "thread_name") {
      names.insert(event.at("args").at("name").as_string());
    }
  }
  EXPECT_EQ(names,
            (std::set<std::string>{"rank 0 (stages 0)", "rank 1 (stages 1)", "rank 2 (stages 2)"}));
}

TEST(TimelineTrace, AnyUnitOfTimeFits) {
  const PipelineSchedule schedule = make_schedule(ScheduleKind::k1F1B, 2, 2);
  for (const double unit : {1e-12, 1e15, 1e300}) {
    PipelineTimes times;
    times.stages = {{unit, unit, unit}};
    const Parsed trace = parse(timeline_trace(schedule, simulate(schedule, times)));
    // F is a ninth of the step: (M + P - 1) (F + B) = 9 units, and the step shows as a second.
    EXPECT_NEAR(trace.slices[0].at("dur").as_number(), 1e6 / 9, 0.01) << unit;
  }
  PipelineTimes nothing;
  nothing.stages = {{0, 0, 0}};
  EXPECT_EQ(parse(timeline_trace(schedule, simulate(schedule, nothing))).slices.size(), 8u);
}

}  // namespace
}  // namespace hadal
