// The report: what the page is given, and that it needs nothing else.
#include "hadal/train/report.h"

#include <gtest/gtest.h>

#include "hadal/train/report_data.h"
#include "hadal/train/run_opening.h"
#include "hadal/train/run_plan.h"
#include "tests/support/small_run.h"

namespace hadal {
namespace {

Json step_line(int64_t step, double loss) {
  Json line = Json::object();
  line["step"] = step;
  line["tokens"] = step * 10;
  line["split"] = "train";
  line["train/loss"] = loss;
  if (step % 2 == 0) line["moe/load"] = parse_json("[[],[6,2,0,4]]", "test");
  return line;
}

TEST(ReportData, ThinsSeriesByMeans) {
  std::vector<Json> lines;
  for (int64_t step = 1; step <= 100; ++step)
    lines.push_back(step_line(step, static_cast<double>(step)));
  const Json data = report_data(lines, 10, 3);
  const Json::Array& loss = data.at("train").at("train/loss").as_array();
  ASSERT_EQ(loss.size(), 10U);
  EXPECT_DOUBLE_EQ(loss[0].as_number(), 5.5);
  EXPECT_DOUBLE_EQ(loss[9].as_number(), 95.5);
  const Json& load = data.at("load");
  EXPECT_EQ(load.at("steps"), parse_json("[2,50,100]", "test"));  // first and last among them
  ASSERT_EQ(load.at("layers").as_array().size(), 1U);             // layer 0 is dense
  EXPECT_EQ(load.at("layers").as_array()[0].at("layer").as_integer(), 1);
  EXPECT_EQ(load.at("layers").as_array()[0].at("columns").as_array()[0].dump(),
            "[2.0,0.67,0.0,1.33]");
}

TEST(ReportData, MetricsThatComeAndGoStayAligned) {
  std::vector<Json> lines;
  for (int64_t step = 1; step <= 4; ++step) lines.push_back(step_line(step, 1.0));
  lines[2]["train/extra"] = 7.0;
  const Json data = report_data(lines);
  EXPECT_EQ(data.at("train").at("train/extra").dump(), "[null,null,7.0,null]");
}

TEST(Report, StandsAlone) {
  Json data = Json::object();
  data["run"] = "</script><b>";
  const std::string page = render_report(data);
  EXPECT_EQ(page.find("http://"), std::string::npos);
  EXPECT_EQ(page.find("https://"), std::string::npos);
  EXPECT_EQ(page.find("src="), std::string::npos);
  EXPECT_EQ(page.find("<link"), std::string::npos);
  EXPECT_NE(page.find(R"({"run":"<\/script><b>"})"), std::string::npos);
}

class RunPlanTest : public ::testing::Test {
 protected:
  // 10 sequences of 20 tokens a step.
  TrainConfig config(const std::vector<std::string>& set) const {
    std::vector<std::string> all = {"train.steps=0", "train.batch_sequences=10", "train.seq_len=20",
                                    "train.micro_batch_sequences=1"};
    all.insert(all.end(), set.begin(), set.end());
    return run_.config("x", all);
  }
  test::SmallRun run_;
};

TEST_F(RunPlanTest, StepsAndTokensWhicheverIsFirst) {
  const TrainConfig by_steps = config({"train.steps=7"});
  EXPECT_EQ(RunPlan(by_steps).planned_tokens(), 1400);
  const TrainConfig both = config({"train.steps=7", "train.tokens=1000"});
  const RunPlan plan(both);
  EXPECT_EQ(plan.planned_tokens(), 1000);
  EXPECT_FALSE(plan.finished({4, 800, 0}, 1e9));
  EXPECT_TRUE(plan.finished({5, 1000, 0}, 0));
}

TEST_F(RunPlanTest, StepsOfARampAreWalked) {
  const TrainConfig ramp = config(
      {"train.steps=5", "train.batch_ramp_start_sequences=2", "train.batch_ramp_tokens=200"});
  // Sequences 2, 3, 6, then the ramp is over: 40 + 60 + 120 + 2 * 200 tokens.
  EXPECT_EQ(RunPlan(ramp).planned_tokens(), 620);
}

TEST_F(RunPlanTest, StepsOfPlannedTokens) {
  EXPECT_EQ(RunPlan(config({"train.tokens=1000"})).planned_steps(), 5);
  EXPECT_EQ(RunPlan(config({"train.tokens=1001"})).planned_steps(), 6);
  EXPECT_EQ(RunPlan(config({"train.steps=7", "train.tokens=2000"})).planned_steps(), 7);
  EXPECT_EQ(RunPlan(config({"train.max_seconds=9"})).planned_steps(), 0);
  const TrainConfig ramp = config(
      {"train.tokens=620", "train.batch_ramp_start_sequences=2", "train.batch_ramp_tokens=200"});
  EXPECT_EQ(RunPlan(ramp).planned_steps(), 5);
}

// The default warm-up of 2000 steps under a plan of 200: 10 % of the rate, and nobody said so.
TEST_F(RunPlanTest, AWarmUpLongerThanTheRunIsSaid) {
  const auto warning = [&](const std::vector<std::string>& set) {
    const TrainConfig c = config(set);
    return warmup_warning(c, RunPlan(c));
  };
  EXPECT_EQ(warning({"train.steps=200", "optimizer.warmup_steps=2000"}),
            "optimizer.warmup_steps: the warm-up is longer than the run (found 2000, expected at "
            "most 200 steps), so the learning rate only reaches 10.0 % of its peak; set a shorter "
            "one");
  EXPECT_EQ(warning({"train.steps=2000", "optimizer.warmup_steps=2000"}), "");
  EXPECT_NE(warning({"train.steps=1999", "optimizer.warmup_steps=2000"}), "");
  const std::vector<std::string> by_tokens = {"train.tokens=1000", "optimizer.warmup_steps=0",
                                              "optimizer.warmup_tokens=4000"};
  EXPECT_NE(warning(by_tokens).find("reaches 25.0 %"), std::string::npos);
  EXPECT_EQ(warning({"train.max_seconds=9", "optimizer.warmup_steps=2000"}), "");  // no plan yet
}

TEST_F(RunPlanTest, ALongerPlanThatRaisesTheRateIsSaid) {
  const TrainConfig longer = config({"train.tokens=100000", "optimizer.warmup_steps=0"});
  const RunPlan plan(longer);
  // At the end of a plan of 10000 tokens the rate is a thirtieth of its peak.
  const std::string text = plan_change_warning(longer, 10000, plan, {50, 10000, 0});
  EXPECT_NE(text.find("100K tokens, and was 10"), std::string::npos) << text;
  EXPECT_EQ(plan_change_warning(longer, 100000, plan, {50, 10000, 0}), "");
  EXPECT_EQ(plan_change_warning(longer, 10000, plan, {5, 1000, 0}), "");  // both constant here
  EXPECT_EQ(plan_change_warning(longer, 0, plan, {50, 10000, 0}), "");
}

TEST_F(RunPlanTest, TimePlansTokensFromTheMeasuredSpeed) {
  const TrainConfig timed = config({"train.max_seconds=100"});
  RunPlan plan(timed);
  plan.observe({1, 200, 0}, 3.0);  // the first step does not count
  EXPECT_EQ(plan.planned_tokens(), 0);
  plan.observe({11, 2200, 0}, 13.0);  // 200 tokens a second, 87 seconds left
  EXPECT_EQ(plan.planned_tokens(), 2200 + 87 * 200);
  EXPECT_FALSE(plan.finished({60, 12000, 0}, 101.0));  // late, but the plan goes first
  EXPECT_TRUE(plan.finished({98, 19600, 0}, 101.0));
  EXPECT_TRUE(plan.finished({60, 12000, 0}, 126.0));  // only to a point
}

TEST_F(RunPlanTest, PlanStandsOnceTheRateFalls) {
  const TrainConfig timed = config({"train.max_seconds=100"});
  RunPlan plan(timed);
  plan.observe({1, 200, 0}, 1.0);
  plan.observe({51, 10200, 0}, 51.0);  // 200 a second: 20000 in all, constant until 13513
  const int64_t planned = plan.planned_tokens();
  EXPECT_EQ(planned, 20000);
  plan.observe({70, 14000, 0}, 60.0);  // faster now, but the cosine has begun
  EXPECT_EQ(plan.planned_tokens(), planned);
  RunPlan resumed(timed);
  resumed.restore(planned, 60.0);
  resumed.observe({71, 14200, 0}, 61.0);
  resumed.observe({90, 18000, 0}, 70.0);
  EXPECT_EQ(resumed.planned_tokens(), planned);
}

}  // namespace
}  // namespace hadal
