// `hadal plan` through the binary: the contract's fields, wrong input, derivations.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "hadal/core/json.h"
#include "tests/support/run_hadal.h"

namespace hadal::testing {
namespace {

using ::testing::HasSubstr;

Json plan_json(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "plan");
  arguments.emplace_back("--json");
  const RunResult result = run_hadal(arguments);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return parse_json(result.out, "stdout");
}

TEST(PlanCommand, JsonHasTheContractsFieldsAndEveryCell) {
  const Json plan =
      plan_json({"--model", "deepseek-v3", "--cluster", "h800-2048", "--tokens", "14.8e12"});
  EXPECT_NEAR(plan.at("gpu_hours").as_number(), 2788e3, 0.01 * 2788e3);
  EXPECT_NEAR(plan.at("gpu_hours_per_trillion_tokens").as_number(), 180e3, 1800);
  EXPECT_NEAR(plan.at("cost_usd").as_number(), 5.576e6, 55760);
  EXPECT_NEAR(plan.at("days").as_number(), 2788e3 / 2048 / 24, 0.6);
  EXPECT_GT(plan.at("memory_per_gpu_gb").as_number(), 40);
  EXPECT_LT(plan.at("memory_per_gpu_gb").as_number(), 80);
  EXPECT_EQ(plan.at("parameters_total").as_integer(), 671026419200);
  EXPECT_EQ(plan.at("parameters_active").as_integer(), 37552297472);
  EXPECT_NEAR(plan.at("mfu").as_number(), 0.3894, 0.004);
  const Json::Array& stages = plan.at("stages").as_array();
  ASSERT_EQ(stages.size(), 3U);
  EXPECT_NEAR(stages[0].at("gpu_hours").as_number(), 2664e3, 26640);
  EXPECT_NEAR(stages[1].at("gpu_hours").as_number(), 119e3, 1190);
  EXPECT_NEAR(stages[2].at("gpu_hours").as_number(), 5e3, 50);
  EXPECT_GT(plan.at("cells").as_array().size(), 200U);
  for (const Json& cell : plan.at("cells").as_array()) {
    for (const char* key : {"name", "section", "value", "unit", "origin", "note"}) {
      EXPECT_TRUE(cell.find(key)) << cell.dump();
    }
    EXPECT_TRUE(cell.at("value").is_number()) << cell.dump();
  }
  EXPECT_GT(plan.at("published").as_array().size(), 20U);
}

double cell(const Json& plan, const std::string& name) {
  for (const Json& each : plan.at("cells").as_array()) {
    if (each.at("name").as_string() == name) return each.at("value").as_number();
  }
  ADD_FAILURE() << name;
  return 0;
}

TEST(PlanCommand, ServingIsPartOfThePlan) {
  const Json plan = plan_json({});
  EXPECT_EQ(cell(plan, "day_cost"), 87072);
  EXPECT_NEAR(cell(plan, "day_margin"), 545, 1);
  EXPECT_NEAR(cell(plan, "day_prefill_rate_check"), 73700, 737);
  EXPECT_NEAR(cell(plan, "day_decode_rate_check"), 14800, 148);
}

TEST(PlanCommand, OptionsMoveTheNumbers) {
  const Json base = plan_json({});
  EXPECT_DOUBLE_EQ(cell(plan_json({"--tokens", "14.8T"}), "tokens"), 14.8e12);
  EXPECT_NEAR(cell(plan_json({"--tokens", "29.6T"}), "gpu_hours_pretraining"),
              2 * cell(base, "gpu_hours_pretraining"), 1);
  const Json priced = plan_json({"--set", "gpu_price=1"});
  EXPECT_NEAR(priced.at("cost_usd").as_number(), base.at("cost_usd").as_number() / 2, 1e-3);
  EXPECT_EQ(plan_json({"--layout", "schedule=1f1b"}).at("layout").at("schedule").as_string(),
            "1f1b");
  const std::string file = ::testing::TempDir() + "hadal_plan_cluster.toml";
  std::ofstream(file) << "gpu = \"h800\"\nnodes = 256\nprice_usd_per_gpu_hour = 4\n";
  EXPECT_NEAR(plan_json({"--cluster", file}).at("cost_usd").as_number(),
              2 * base.at("cost_usd").as_number(), 1e-3);
}

TEST(PlanCommand, SearchListsWhatFitsAndWhyTheRestDoesNot) {
  const Json plan = plan_json({"--cluster", "h200-256", "--search"});
  const Json& search = plan.at("search");
  EXPECT_GT(search.at("fitting").as_array().size(), 10U);
  for (const Json& each : search.at("rejected").as_array()) {
    EXPECT_NE(each.at("reason").as_string(), "");
  }
  EXPECT_EQ(search.at("fitting").as_array()[0].at("layout").at("text").as_string(),
            plan.at("layout").at("text").as_string());
}

TEST(PlanCommand, ExplainsInTextAndJson) {
  const RunResult text = run_hadal({"plan", "--explain", "cost_usd"});
  EXPECT_EQ(text.exit_code, 0);
  EXPECT_THAT(text.out, HasSubstr("= gpu_hours * gpu_price"));
  EXPECT_THAT(text.out, HasSubstr("[published]"));
  EXPECT_THAT(text.out, HasSubstr("[measured]"));
  EXPECT_THAT(text.out, HasSubstr("[simulated]"));
  const Json plan = plan_json({"--explain", "cost_usd", "--explain", "mfu"});
  EXPECT_EQ(plan.at("explain").at("cost_usd").at("formula").as_string(), "gpu_hours * gpu_price");
  EXPECT_TRUE(plan.at("explain").find("mfu"));
  EXPECT_EQ(run_hadal({"plan", "--explain", "all"}).exit_code, 0);
}

TEST(PlanCommand, PeopleGetTables) {
  const RunResult result = run_hadal({"plan"});
  EXPECT_EQ(result.exit_code, 0);
  for (const char* part : {"2664K GPU-hours", "5.576M USD", "Memory per GPU", "671.0B parameters",
                           "Against publications", "87072 USD"}) {
    EXPECT_THAT(result.out, HasSubstr(part));
  }
  EXPECT_THAT(run_hadal({"plan", "--cells"}).out, HasSubstr("= gpu_hours * gpu_price"));
}

TEST(PlanCommand, WrongInputIsOneLineThatNamesTheOption) {
  const std::string file = ::testing::TempDir() + "hadal_no_gpus.toml";
  std::ofstream(file) << "gpu = \"h800\"\nnodes = 0\n";
  const std::vector<Refused> cases = {
      {{"--model", "deepseek-v4"},
       "deepseek-v4: neither a file, nor a folder, nor a preset",
       "no such model shape"},
      {{"--cluster", "h801-2048"}, "--cluster: no such cluster", "did you mean h800-2048?"},
      {{"--cluster", file}, file + ": nodes: out of range"},
      {{"--tokens", "many"}, "--tokens: not a number here (found \"many\""},
      {{"--tokens", "-1"}, "--tokens: out of range"},
      {{"--tokens", "1e300"}, "--tokens: out of range"},
      {{"--layout", "pp=15"}, "--layout: pp: dualpipe pairs the stages"},
      {{"--layout", "ep=48"}, "--layout: ep: the experts do not divide"},
      {{"--layout", "pipe=4"}, "--layout: not a setting"},
      {{"--set", "gpu_prise=3"},
       "--set: gpu_prise: no such number in this plan",
       "did you mean gpu_price?"},
      {{"--set", "gpu_price=-3"}, "--set: gpu_price: negative"},
      {{"--set", "gpu_price=nan"}, "--set gpu_price: not a number here"},
      {{"--set", "gpu_price=1e309"}, "--set gpu_price: not a number here"},
      {{"--set", "gpu_bf16_flops=0"},
       "chunk_peak_seconds: not a finite number",
       "gpu_bf16_flops = 0"},
      {{"--set", "d_model=1e200"},
       "mtp_active_parameters: not a finite number",
       "d_model = 1e+200"},
      {{"--set", "n_layers=0"}, "n_layers: not a whole number in range (found 0"},
      {{"--set", "pp=1.5"}, "pp: not a whole number in range (found 1.5"},
      {{"--explain", "gpu_hour"}, "--explain: gpu_hour: no such number in this plan; did you mean"},
      {{"--best", "0"}, "--best: out of range"},
      {{"--deployment", "prod"}, "--deployment: unknown value"},
  };
  expect_refused(cases, {"plan"});
}

}  // namespace
}  // namespace hadal::testing
