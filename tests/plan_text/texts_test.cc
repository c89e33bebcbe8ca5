// plan_text/: what people read of a plan.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "hadal/plan_text/expert_plan_text.h"
#include "hadal/plan_text/explain_text.h"
#include "hadal/plan_text/machine_advice.h"
#include "hadal/plan_text/rows_text.h"
#include "hadal/plan_text/sweep_text.h"
#include "tests/plan/laptop.h"

namespace hadal::cli {
namespace {

using ::testing::HasSubstr;

Worksheet small_sheet() {
  Worksheet sheet;
  sheet.formula("cost", "hours * price", "USD", "money");  // cells defined later
  sheet.input("hours", 1500, "GPU-hours", Origin::kPublished, "a report");
  sheet.input("price", 2, "USD/GPU-hour", Origin::kAssumed, "a guess");
  sheet.formula("cost_rounded", "ceil(cost / 1e3) * 1e3 + (price > 3 ? 1 : 0)", "USD", "");
  return sheet;
}

TEST(ExplainText, GoesDownToTheInputs) {
  Worksheet sheet = small_sheet();
  EXPECT_EQ(explain_text(sheet, "cost_rounded"),
            "cost_rounded = 3000 USD  [derived]\n"
            "  = ceil(cost / 1e3) * 1e3 + (price > 3 ? 1 : 0)\n"
            "  = ceil(3000 / 1e3) * 1e3 + (2 > 3 ? 1 : 0)\n"
            "  cost = 3000 USD  [derived]\n"
            "    money\n"
            "    = hours * price\n"
            "    = 1500 * 2\n"
            "    hours = 1.500K GPU-hours  (1500)  [published]  a report\n"
            "    price = 2 USD/GPU-hour  [assumed]  a guess\n"
            "  price = 2 USD/GPU-hour  [assumed]\n"
            "rests on\n"
            "  published  hours\n"
            "  assumed    price\n");
  sheet.set("cost", -1);
  EXPECT_THAT(explain_text(sheet, "cost_rounded"), HasSubstr("= ceil((-1) / 1e3)"));
  EXPECT_EQ(explain_text(sheet, "cost"), "cost = -1 USD  [given]  money\n");
}

TEST(SweepText, IsAlignedAndInUnits) {
  SweepTable table;
  table.columns = {{"gpus", ""}, {"memory", "B"}};
  table.rows = {{16, 74.5e9}, {2048, std::nan("")}};
  EXPECT_EQ(sweep_text(table, {"fits", "none"}),
            "gpus    memory\n  16  74.50 GB  fits\n2048         -  none\n");
}

TEST(MachineAdvice, SaysWhetherItFitsAndWhatHelps) {
  Worksheet nano = make_machine_sheet(find_preset("nano").config, laptop(), {.tokens = 20e6});
  const MachineAdvice good = machine_advice(nano);
  EXPECT_TRUE(good.fits);
  EXPECT_THAT(good.memory, HasSubstr("fits: "));
  EXPECT_THAT(good.time, HasSubstr("arithmetic limits it"));

  Worksheet lite =
      make_machine_sheet(find_preset("deepseek-v2-lite").config, laptop(), {.tokens = 1e9});
  const MachineAdvice bad = machine_advice(lite);
  EXPECT_FALSE(bad.fits);
  EXPECT_THAT(bad.memory, HasSubstr("does not fit: "));
  EXPECT_THAT(bad.time, HasSubstr("years"));
  EXPECT_THAT(bad.knobs, ::testing::Contains(HasSubstr("a model of at most about")));

  // Activations alone are too much: the micro-batch is the knob, and it is said to be enough.
  Worksheet wide = make_machine_sheet(find_preset("nano").config, laptop(),
                                      {.tokens = 20e6,
                                       .sequence_length = 1024,
                                       .batch_sequences = 400,
                                       .micro_batch_sequences = 400});
  const MachineAdvice advice = machine_advice(wide);
  EXPECT_FALSE(advice.fits);
  EXPECT_THAT(advice.knobs,
              ::testing::Contains(::testing::AllOf(HasSubstr("train.micro_batch_sequences = 1"),
                                                   HasSubstr("which fits"))));
  EXPECT_EQ(wide.value("micro_batch_sequences"), 400) << "advice leaves the sheet as it was";
}

TEST(ExpertPlanText, NamesLayersByTheirNumberInTheModel) {
  // Two layers, four experts, two GPUs, one extra replica each.
  LayerLoads loads;
  loads.load = {{8, 2, 1, 1}, {1, 1, 1, 1}};
  loads.layers = {1, 4};
  loads.source = "by hand";
  const std::string text = expert_plan_text(plan_experts(loads, {.n_replicas = 6, .n_gpus = 2}));
  EXPECT_THAT(text, HasSubstr("2 GPUs on 1 node, 6 replicas per layer: 3 per GPU, 2 redundant"));
  EXPECT_THAT(text, HasSubstr("69 % of the time"));
  EXPECT_THAT(text, HasSubstr("3 of expert 0"));
  EXPECT_THAT(text, HasSubstr("      4     1.000   1.000"));
}

TEST(RowsText, PrintsTheErrorOfEveryPrediction) {
  const ThroughputRow& row = throughput_rows().front();
  RowPrediction prediction = {
      row,
      260.6e9,
      {0.8 * row.tokens_per_second_per_gpu, 1.1 * row.tokens_per_second_per_gpu, std::nan("")}};
  const std::string text = rows_text({prediction});
  EXPECT_THAT(text, HasSubstr("6288"));
  EXPECT_THAT(text, HasSubstr("-20.0 %"));
  EXPECT_THAT(text, HasSubstr("+10.0 %"));
  EXPECT_THAT(text, HasSubstr("DeepSeek-V3's step on the H800"));
  const Json json = rows_json({prediction});
  const Json& predicted = json.at("rows").as_array()[0].at("predicted");
  EXPECT_NEAR(predicted.at("step").at("deviation").as_number(), -0.2, 1e-12);
  EXPECT_EQ(predicted.find("dense_mxfp8"), nullptr);
  EXPECT_GT(json.at("constants").at("overlap_efficiency").at("value").as_number(), 0.7);
}

}  // namespace
}  // namespace hadal::cli
