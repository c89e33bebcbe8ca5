#include "hadal/plan/plan.h"
#include "hadal/command/quantity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hadal/core/error.h"
#include "tests/support/refusal.h"

namespace hadal {
namespace {

using ::testing::HasSubstr;

PlanRequest request_of(const std::string& preset, const std::string& cluster) {
  PlanRequest request;
  request.model_name = preset;
  request.config = find_preset(preset).config;
  request.cluster = find_cluster(cluster);
  return request;
}

TEST(Plan, PublishedLayoutsAreKeptWhereTheyFitAndSearchedElsewhere) {
  const Plan own = make_plan(request_of("deepseek-v3", "h800-2048"));
  EXPECT_EQ(own.layout, Layout{});
  EXPECT_FALSE(own.search.has_value());
  EXPECT_TRUE(own.warnings.empty());
  const Plan other = make_plan(request_of("deepseek-v3", "h800-512"));
  EXPECT_TRUE(other.search.has_value());
  EXPECT_EQ(layout_text(other.layout), layout_text(other.search->fitting.front().layout));
  EXPECT_THAT(other.notes.back(), HasSubstr("the layout was searched"));
  EXPECT_DOUBLE_EQ(other.sheet.value("step_seconds"), other.search->fitting.front().step_seconds);
}

TEST(Plan, AGivenLayoutThatDoesNotFitIsAWarningWithAKnob) {
  PlanRequest request = request_of("deepseek-v3", "h800-2048");
  request.layout = "recompute=none";
  const Plan plan = make_plan(request);
  ASSERT_FALSE(plan.warnings.empty());
  EXPECT_THAT(plan.warnings.front(), HasSubstr("does not fit: memory: "));
  EXPECT_THAT(plan.warnings.front(), HasSubstr("recompute=selective"));
}

TEST(Plan, NoLayoutFitsIsAnErrorThatNamesTheNearest) {
  try {
    make_plan(request_of("deepseek-v3", "h800-8"));
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_EQ(error.field, "cluster");
    EXPECT_THAT(error.what(), HasSubstr("no layout of this model fits"));
    EXPECT_THAT(error.what(), HasSubstr("nearest: pp="));
    EXPECT_THAT(error.what(), HasSubstr("use more GPUs or more memory per GPU"));
  }
}

TEST(Plan, SetsReachTheSheetAndTheLayout) {
  PlanRequest request = request_of("deepseek-v3", "h800-2048");
  request.sets = {{"gpu_price", 3.0}, {"pp", 8}};
  const Plan plan = make_plan(request);
  EXPECT_EQ(plan.layout.pp, 8);
  EXPECT_EQ(plan.sheet.value("cost_usd"), 3 * plan.sheet.value("gpu_hours"));
  request.sets = {{"pp", 7}};
  test::expect_refused<ConfigError>([&] { make_plan(request); },
                                    "layout: pp: dualpipe pairs the stages");
  request.sets = {{"gpu_price", -1}};
  test::expect_refused<ConfigError>([&] { make_plan(request); }, "set: gpu_price: negative");
}

TEST(Plan, QuantitiesAndAssignments) {
  EXPECT_EQ(cli::parse_quantity("tokens", "14.8e12"), 14.8e12);
  EXPECT_DOUBLE_EQ(cli::parse_quantity("tokens", "14.8T"), 14.8e12);
  EXPECT_EQ(cli::parse_quantity("tokens", "469B"), 469e9);
  EXPECT_EQ(cli::parse_quantity("tokens", "2K"), 2000);
  for (const char* wrong : {"", "T", "1x", "nan", "inf", "1e400", "1e300T", "0x10", "1 T", "--5"}) {
    test::expect_refused<ConfigError>([&] { cli::parse_quantity("tokens", wrong); },
                                      concat("tokens: not a number here (found \"", wrong, "\""));
  }
  EXPECT_EQ(cli::parse_assignment("set", "a_b=1.5K").first, "a_b");
  EXPECT_EQ(cli::parse_assignment("set", "a_b=1.5K").second, 1500);
  for (const auto& [wrong, names] : {std::pair{"a", "set: not an assignment (found \"a\""},
                                     {"=1", "set: not an assignment (found \"=1\""},
                                     {"a=", "set a: not a number here (found \"\""},
                                     {"a=b", "set a: not a number here (found \"b\""},
                                     {"", "set: not an assignment (found \"\""}}) {
    test::expect_refused<ConfigError>([text = wrong] { cli::parse_assignment("set", text); },
                                      names);
  }
}

}  // namespace
}  // namespace hadal
