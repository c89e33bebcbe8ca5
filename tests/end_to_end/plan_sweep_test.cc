// `hadal plan sweep`, `hadal plan scaling` and `hadal plan machine` through the binary.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hadal/core/json.h"
#include "tests/support/run_hadal.h"
#include "tests/support/temporary_folder.h"

namespace hadal {
namespace {

using testing::expect_refused;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::run_hadal;
using testing::RunResult;
using ::testing::StartsWith;

RunResult plan(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "plan");
  return run_hadal(arguments);
}

const char* const kBench =
    R"({"preset": "", "tok_s_best": 2500, "threads": 2, "batch": 8, "seq": 256,
        "roof_gflop_s": 235, "memory_gb_s": 20})";

TEST(PlanSweep, PricesMoveTheCost) {
  const test::TemporaryFolder folder;
  const std::string csv = folder / "price.csv", svg = folder / "price.svg";
  const RunResult result = plan({"sweep", "--vary", "gpu_price=2,4", "--show", "cost_usd,days",
                                 "--csv", csv, "--svg", svg, "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = parse_json(result.out, "stdout");
  const auto& rows = json.at("rows").as_array();
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_NEAR(rows[0].as_array()[1].as_number(), 5.576e6, 0.01 * 5.576e6);
  EXPECT_NEAR(rows[1].as_array()[1].as_number(), 2 * rows[0].as_array()[1].as_number(), 1);
  EXPECT_EQ(rows[1].as_array()[2], rows[0].as_array()[2]);
  EXPECT_EQ(json.at("columns").as_array()[1].at("unit").as_string(), "USD");
  EXPECT_THAT(test::read_bytes(csv), StartsWith("gpu_price,cost_usd,days\n2,"));
  EXPECT_THAT(test::read_bytes(svg), HasSubstr("</svg>"));
}

TEST(PlanSweep, WrongInputIsOneLine) {
  const std::vector<testing::Refused> wrong = {
      {{"sweep", "--vary", "gpu_prise=1,2", "--show", "cost_usd"},
       "--vary: gpu_prise: no such number in this plan",
       "did you mean gpu_price?"},
      {{"sweep", "--vary", "gpu_price=1,2", "--show", "cost_us"},
       "--show: cost_us: no such number in this plan",
       "did you mean cost_usd?"},
      {{"sweep", "--vary", "gpu_price=", "--show", "cost_usd"}, "--vary: no values to vary"},
      {{"sweep", "--vary", "gpu_price=1,2"}, "--show"},
      {{"sweep", "--show", "cost_usd"}, "--vary"},
      {{"sweep", "--vary", "gpu_price=1,2", "--show", "cost_usd,,days"},
       "--show: a name is missing"},
      {{"sweep", "--vary", "gpu_price=1:1e300:x1.000001", "--show", "days"},
       "--vary: too many values"},
      {{"sweep", "--vary", "gpu_price=1e999", "--show", "days"}, "--vary: not a number here"},
      {{"sweep", "--vary", "n_layers=-1", "--show", "flops_per_token"},
       "--vary: no value is possible",
       "n_layers"},
      {{"sweep", "--vary", "gpu_memory_bandwidth=0", "--show", "decode_step_seconds"},
       "--vary: no value is possible",
       "not a finite number"},
      {{"scaling", "--gpus", "100"}, "--gpus: not a number of whole nodes"},
      {{"scaling", "--gpus", "-8"}, "--gpus: no number of GPUs"},
      {{"scaling", "--gpus", "8:1e12:x2"}, "--gpus: no number of GPUs"},
      {{"machine", "--model", "nanno"},
       "nanno: neither a file, nor a folder, nor a preset",
       "nano"},
      {{"machine", "--tokens", "-5"}, "--tokens"},
      {{"machine", "--tokens", "many"}, "--tokens"},
      {{"machine", "--batch", "0"}, "--batch"},
      {{"machine", "--micro-batch", "9"}, "--micro-batch"},
      {{"machine", "--seq", "1000000"}, "--seq"},
      {{"machine", "--bench", "/nowhere/bench.json"}, "/nowhere/bench.json"}};
  expect_refused(wrong, {"plan"});
}

TEST(PlanSweep, AFileThatCannotBeWrittenIsSaid) {
  expect_refused({{{"plan", "sweep", "--vary", "gpu_price=1,2", "--show", "cost_usd", "--csv",
                    "/nowhere/at/all.csv"},
                   "/nowhere/at/all.csv: cannot be created",
                   "",
                   1}});
}

TEST(PlanScaling, GrowsToThePublishedNetwork) {
  const RunResult result = plan({"scaling", "--gpus", "2048:16384:x8", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = parse_json(result.out, "stdout");
  EXPECT_EQ(json.at("rows").as_array().size(), 2u);
  EXPECT_EQ(json.at("rows").as_array()[1].as_array()[0].as_number(), 16384);
  EXPECT_EQ(json.at("remarks").as_array().size(), 2u);
}

TEST(PlanMachine, PlansFromABenchmark) {
  const test::TemporaryFolder folder;
  const std::string bench = folder.write("bench.json", kBench);
  const RunResult result = plan({"machine", "--bench", bench, "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = parse_json(result.out, "stdout");
  EXPECT_TRUE(json.at("fits").as_bool());
  EXPECT_NEAR(json.at("seconds").as_number() * json.at("tokens_per_s").as_number(), 20e6, 2048);
  const RunResult small =
      plan({"machine", "--bench", bench, "--model", "small", "--set", "machine_memory=1e9"});
  EXPECT_EQ(small.exit_code, 0);
  EXPECT_THAT(small.out, HasSubstr("does not fit: 2.5 GB of 900 MB usable"));
  const RunResult why = plan({"machine", "--bench", bench, "--explain", "run_seconds"});
  EXPECT_THAT(why.out, HasSubstr("steps * step_seconds"));
}

TEST(PlanMachine, MeasuresWhenNoFileIsGiven) {
  const RunResult result = plan({"machine", "--threads", "1", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_GT(parse_json(result.out, "stdout").at("tokens_per_s").as_number(), 0);
}

TEST(PlanMachine, AnotherFileIsRefused) {
  const test::TemporaryFolder folder;
  expect_refused({{{"plan", "machine", "--bench", folder.write("other.json", "{\"a\": 1}")},
                   folder / "other.json: does not say what was trained",
                   "hadal bench train --json"}});
}

TEST(PlanRows, SetsPublishedThroughputBesideThePrediction) {
  const RunResult result = plan({"rows"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("gb300-256       6288"));
  EXPECT_THAT(result.out, HasSubstr("gb200-256       4912"));
  const Json json = parse_json(plan({"rows", "--json"}).out, "stdout");
  for (const Json& row : json.at("rows").as_array()) {
    EXPECT_NE(row.at("predicted").at("step").at("deviation").as_number(), 0);
  }
}

}  // namespace
}  // namespace hadal
