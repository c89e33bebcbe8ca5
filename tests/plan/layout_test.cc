#include "hadal/plan/layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <numeric>

#include "hadal/core/error.h"
#include "hadal/schedule/schedule_check.h"
#include "tests/plan/sheet_of.h"

namespace hadal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

LayoutFacts v3_facts() {
  LayoutFacts facts;
  facts.gpus = 2048;
  facts.gpus_per_node = 8;
  facts.n_layers = 61;
  facts.n_routed_experts = 256;
  facts.batch_sequences = 15360;
  return facts;
}

TEST(Layout, TextIsReadBack) {
  const Layout layout = parse_layout(
      "pp=8,ep=32,micro-batch=2,schedule=zb1p,recompute=full,precision=bf16", Layout{});
  EXPECT_EQ(layout.pp, 8);
  EXPECT_EQ(layout.ep, 32);
  EXPECT_EQ(layout.micro_batch_sequences, 2);
  EXPECT_EQ(layout.schedule, ScheduleKind::kZb1p);
  EXPECT_EQ(layout.recompute, Recompute::kFull);
  EXPECT_FALSE(layout.fp8);
  EXPECT_EQ(parse_layout(layout_text(layout), Layout{}), layout);
  const Layout half = parse_layout("ep=16", layout);
  EXPECT_EQ(half.ep, 16);
  EXPECT_EQ(half.pp, 8);
  EXPECT_EQ(parse_layout("", layout), layout);
  const Layout four = parse_layout("pp=32,schedule=interleaved,stages-per-rank=4", layout);
  EXPECT_EQ(four.stages_per_rank, 4);
  EXPECT_EQ(parse_layout(layout_text(four), Layout{}), four);
}

TEST(Layout, WrongTextNamesTheSetting) {
  const std::pair<const char*, const char*> cases[] = {
      {"pq=3", "did you mean pp?"},
      {"pp", "not a setting (found \"pp\""},
      {"pp=", "pp: not a count (found \"\""},
      {"pp=0", "pp: not a count (found \"0\""},
      {"pp=-4", "pp: not a count"},
      {"pp=1.5", "pp: not a count"},
      {"ep=99999999999999999999", "ep: not a count"},
      {"schedule=dualpip",
       "schedule: unknown value (found \"dualpip\", expected 1f1b, zb1p, "
       "dualpipe, dualpipev, interleaved, zbv); did you mean dualpipe?"},
      {"recompute=some", "recompute: unknown value"},
      {"precision=fp4", "did you mean fp8?"},
  };
  for (const auto& [text, message] : cases) {
    try {
      parse_layout(text, Layout{});
      ADD_FAILURE() << text;
    } catch (const ConfigError& error) {
      EXPECT_THAT(error.what(), HasSubstr(message)) << text;
      EXPECT_THAT(error.what(), ::testing::StartsWith("layout: ")) << text;
    }
  }
}

TEST(Layout, DeepseekV3sIsLegal) {
  EXPECT_TRUE(layout_problem(Layout{}, v3_facts()).empty());
  EXPECT_EQ(pipeline_ranks(Layout{}), 16);
  EXPECT_EQ(micro_batches(Layout{}, v3_facts()), 120);
  const Layout folded = parse_layout("schedule=dualpipev", Layout{});
  EXPECT_TRUE(layout_problem(folded, v3_facts()).empty());
  EXPECT_EQ(pipeline_ranks(folded), 8);
  EXPECT_EQ(pipeline_ranks(parse_layout("schedule=zbv", Layout{})), 8);
  EXPECT_EQ(pipeline_ranks(parse_layout("schedule=interleaved,stages-per-rank=4", Layout{})), 4);
}

TEST(Layout, EachRuleSaysWhy) {
  const struct {
    const char* layout;
    std::function<void(LayoutFacts&)> change;
    const char* message;
  } cases[] = {
      {"pp=64", {}, "pp: more stages than layers (found 64, expected at most 61)"},
      {"pp=15", {}, "pp: dualpipe pairs the stages (found 15"},
      {"pp=15,schedule=zbv", {}, "pp: zbv pairs the stages (found 15"},
      {"schedule=interleaved,stages-per-rank=3",
       {},
       "stages-per-rank: the stages do not divide into ranks (found 3, expected a divisor of 16"},
      {"pp=12",
       {},
       "pp: the GPUs do not divide into pipelines (found 12 ranks, expected a divisor "
       "of 2048 GPUs)"},
      {"ep=48", {}, "ep: the experts do not divide (found 48, expected a divisor of 256 experts)"},
      {"ep=256", {}, "expected EP to divide 128 replicas on 2048 GPUs"},
      {"ep=16", [](LayoutFacts& f) { f.gpus_per_node = 12; },
       "ep: the group cuts a node (found 16, expected a divisor or a multiple of 12 GPUs)"},
      {"ep=2", [](LayoutFacts& f) { f.has_moe_layers = false; }, "ep: the model has no experts"},
      {"micro-batch=7", {}, "found 15360 sequences over 128 replicas x 7"},
      {"", [](LayoutFacts& f) { f.batch_sequences = 1920; },
       "schedule: dualpipe feeds half of them at each end (found 15"},
      {"", [](LayoutFacts& f) { f.batch_sequences = 128 * 30; },
       "schedule: too few to fill dualpipe with 16 stages (found 30, expected 32"},
      {"", [](LayoutFacts& f) { f.batch_sequences = int64_t{128} << 18; },
       "found 16 stages x 262144 micro-batches, expected at most 2097152"},
      {"", [](LayoutFacts& f) { f.gpu_has_fp8 = false; }, "precision: the GPU has no FP8 units"},
  };
  for (const auto& each : cases) {
    LayoutFacts facts = v3_facts();
    if (each.change) each.change(facts);
    const Refusal why = layout_problem(parse_layout(each.layout, Layout{}), facts);
    EXPECT_THAT(why.line(), HasSubstr(each.message)) << each.layout;
    EXPECT_EQ(why.place, "{layout}");
    EXPECT_FALSE(why.found.empty() || why.expected.empty()) << why.line();
  }
}

// What the sheet says of a schedule is what the schedule's own lists hold.
TEST(Layout, TheSheetAsksTheSchedule) {
  for (size_t kind = 0; kind < schedule_names().size(); ++kind) {
    for (const int64_t pp : {4, 8, 12}) {
      Layout layout;
      layout.pp = pp;
      layout.schedule = static_cast<ScheduleKind>(kind);
      Worksheet sheet = sheet_of("deepseek-v3", "h800-2048", layout_text(layout));
      const PipelineSchedule schedule =
          make_schedule(layout.schedule, static_cast<int32_t>(pp), 4 * static_cast<int32_t>(pp));
      const ScheduleCheck check = check_schedule(schedule);
      int64_t pairs = 0, stored = 0;
      bool ends_meet = false;
      for (const RankFacts& rank : check.ranks) {
        pairs += rank.n_pairs;
        stored = std::max(stored, rank.peak_stored);
      }
      for (const std::vector<int32_t>& held : schedule.held) {
        ends_meet = ends_meet || (std::ranges::count(held, 0) && std::ranges::count(held, pp - 1));
      }
      const std::string what = layout_text(layout);
      EXPECT_EQ(sheet.value("pipeline_ranks"), schedule.n_ranks) << what;
      EXPECT_EQ(sheet.value("parameter_copies"), parameter_copies(schedule)) << what;
      EXPECT_EQ(sheet.value("stages_held"), static_cast<double>(schedule.held[0].size())) << what;
      EXPECT_EQ(sheet.value("overlaps") > 0, pairs > 0) << what;
      EXPECT_EQ(sheet.value("ends_meet") > 0, ends_meet) << what;
      EXPECT_EQ(sheet.value("most_chunks_stored"), static_cast<double>(stored)) << what;
    }
  }
}

TEST(Layout, StagesShareTheLayersEvenly) {
  EXPECT_THAT(layers_of_stages(8, 4, 0), ElementsAre(2, 2, 2, 2));
  EXPECT_THAT(layers_of_stages(9, 4, 0), ElementsAre(2, 2, 3, 2));
  EXPECT_THAT(layers_of_stages(8, 4, 1), ElementsAre(2, 2, 2, 2));  // 3 is no worse than 1 + 3
  EXPECT_THAT(layers_of_stages(8, 2, 3), ElementsAre(5, 3));        // 5 against 3 + 3
  EXPECT_THAT(layers_of_stages(5, 1, 1.4), ElementsAre(5));
  // DeepSeek-V3: 14 stages of 4, one of 3, the last of 2 and the head.
  const std::vector<int64_t> v3 = layers_of_stages(61, 16, 1.385);
  EXPECT_EQ(std::count(v3.begin(), v3.end(), 4), 14);
  EXPECT_EQ(v3.front(), 3);
  EXPECT_EQ(v3.back(), 2);
}

TEST(Layout, NoOtherDivisionHasALighterHeaviestStage) {
  for (int64_t n_stages = 1; n_stages <= 9; ++n_stages) {
    for (int64_t n_layers = n_stages; n_layers <= 30; ++n_layers) {
      for (const double head : {0.0, 0.6, 1.4, 3.0}) {
        const std::vector<int64_t> layers = layers_of_stages(n_layers, n_stages, head);
        EXPECT_EQ(std::accumulate(layers.begin(), layers.end(), int64_t{0}), n_layers);
        double heaviest = static_cast<double>(layers.back()) + head;
        for (const int64_t n : layers) heaviest = std::max(heaviest, static_cast<double>(n));
        // The best: the last stage takes k layers, the others the rest evenly.
        double best = static_cast<double>(n_layers) + head;
        for (int64_t k = 0; n_stages > 1 && k <= n_layers; ++k) {
          const double others = static_cast<double>((n_layers - k + n_stages - 2) / (n_stages - 1));
          best = std::min(best, std::max(others, static_cast<double>(k) + head));
        }
        EXPECT_NEAR(heaviest, best, 1e-9) << n_layers << "/" << n_stages << " head " << head;
      }
    }
  }
}

}  // namespace
}  // namespace hadal
