#include "hadal/plan/worksheet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "hadal/core/error.h"
#include "hadal/core/formula_text.h"
#include "tests/support/refusal.h"

namespace hadal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Worksheet small_sheet() {
  Worksheet sheet;
  sheet.section("one", "Section one");
  sheet.formula("cost", "hours * price", "USD", "money");  // cells defined later
  sheet.input("hours", 1500, "GPU-hours", Origin::kPublished, "a report");
  sheet.input("price", 2, "USD/GPU-hour", Origin::kAssumed, "a guess");
  sheet.section("two", "Section two");
  sheet.formula("cost_rounded", "ceil(cost / 1e3) * 1e3 + (price > 3 ? 1 : 0)", "USD", "");
  return sheet;
}

TEST(Worksheet, FormulasReadCellsOfAnyPlace) {
  const Worksheet sheet = small_sheet();
  EXPECT_EQ(sheet.value("cost"), 3000);
  EXPECT_EQ(sheet.value("cost_rounded"), 3000);
  EXPECT_THAT(sheet.cell("cost_rounded").inputs, ElementsAre("cost", "price"));
  EXPECT_EQ(sheet.cell("cost_rounded").section, "two");
  EXPECT_EQ(sheet.cells()[1].name, "hours");
  EXPECT_EQ(sheet.sections()[1].title, "Section two");
}

TEST(Worksheet, FunctionsOfFormulas) {
  Worksheet sheet;
  sheet.input("x", 2.5, "", Origin::kAssumed, "");
  const std::pair<const char*, double> cases[] = {
      {"min(x, 2)", 2},        {"max(x, 3)", 3},           {"ceil(x)", 3},
      {"floor(x)", 2},         {"sqrt(x * x)", 2.5},       {"log2(2 ^ x)", 2.5},
      {"x >= 2.5 ? 7 : 8", 7}, {"-x + 1e1 - 2.5e-1", 7.25}};
  int n = 0;
  for (const auto& [expression, expected] : cases) {
    const std::string name = "y" + std::to_string(n++);
    sheet.formula(name, expression, "", "");
    EXPECT_DOUBLE_EQ(sheet.value(name), expected) << expression;
    EXPECT_THAT(sheet.cell(name).inputs, ElementsAre("x")) << expression;
  }
}

TEST(Worksheet, SetMovesWhatDependsOnItAndResetUndoesIt) {
  Worksheet sheet = small_sheet();
  EXPECT_EQ(sheet.value("cost_rounded"), 3000);
  sheet.set("price", 4);
  EXPECT_EQ(sheet.value("cost"), 6000);
  EXPECT_EQ(sheet.value("cost_rounded"), 6001);
  EXPECT_EQ(sheet.cell("price").origin, Origin::kGiven);
  sheet.set("cost", 10);  // a formula whose result is known better
  EXPECT_EQ(sheet.value("cost_rounded"), 1001);
  sheet.set("hours", 1e6);  // hidden behind the given cost
  EXPECT_EQ(sheet.value("cost_rounded"), 1001);
  sheet.reset("cost");
  EXPECT_EQ(sheet.value("cost_rounded"), 4000001);
  EXPECT_EQ(sheet.cell("cost").origin, Origin::kDerived);
  sheet.reset("hours");
  sheet.reset("price");
  EXPECT_EQ(sheet.value("cost_rounded"), 3000);
  EXPECT_EQ(sheet.cell("price").origin, Origin::kAssumed);
}

TEST(Worksheet, ProceduresRunOnceUntilTheirInputsChange) {
  Worksheet sheet = small_sheet();
  int runs = 0;
  sheet.computed(
      "twice", {"hours"},
      [&runs](const Worksheet& s) {
        ++runs;
        return 2 * s.value("hours");
      },
      "", "doubling");
  sheet.formula("more", "twice + price", "", "");
  EXPECT_EQ(sheet.value("more") + sheet.value("twice"), 6002);
  EXPECT_EQ(runs, 1);
  sheet.set("price", 3);
  EXPECT_EQ(sheet.value("more"), 3003);
  EXPECT_EQ(runs, 1);
  sheet.set("hours", 1);
  EXPECT_EQ(sheet.value("more"), 5);
  EXPECT_EQ(runs, 2);
}

TEST(Worksheet, ErrorsNameTheCell) {
  Worksheet sheet = small_sheet();
  sheet.formula("a", "b + 1", "", "");
  sheet.formula("b", "c * 2", "", "");
  sheet.formula("c", "price > 5 ? a : a + 1", "", "");
  sheet.formula("broken_link", "cosst + 1", "", "");
  sheet.formula("ratio", "hours / price", "", "");
  EXPECT_THAT(test::error_of([&] { sheet.value("a"); }),
              HasSubstr("a: cells of the plan need each other (a -> b -> c -> a)"));
  EXPECT_THAT(test::error_of([&] { sheet.value("prise"); }),
              HasSubstr("prise: no such number in this plan; did you mean price?"));
  EXPECT_THAT(test::error_of([&] { sheet.value("broken_link"); }), HasSubstr("did you mean cost?"));
  EXPECT_THAT(test::error_of([&] { sheet.set("prise", 1); }), HasSubstr("did you mean price?"));
  EXPECT_THAT(test::error_of([&] { sheet.set("price", std::numeric_limits<double>::quiet_NaN()); }),
              HasSubstr("price: not a finite number"));
  sheet.set("price", 0);
  EXPECT_THAT(test::error_of([&] { sheet.value("ratio"); }),
              HasSubstr("ratio: not a finite number (found inf from hours = 1500, price = 0)"));
  sheet.reset("price");
  EXPECT_EQ(sheet.value("ratio"), 750);  // an error leaves the sheet usable
  EXPECT_THAT(test::error_of([&] { sheet.formula("d", "1 +", "", ""); }),
              HasSubstr("d: not a formula"));
  EXPECT_THAT(test::error_of([&] { sheet.formula("cost", "1", "", ""); }),
              HasSubstr("defined twice"));
  EXPECT_THAT(test::error_of([&] { sheet.input("two words", 1, "", Origin::kAssumed, ""); }),
              HasSubstr("not a name"));
  EXPECT_THAT(test::error_of([&] { sheet.published("prise", 1, ""); }), HasSubstr("did you mean"));
}

TEST(Worksheet, ExplainsInJson) {
  const Json json = small_sheet().explain_json("cost");
  EXPECT_EQ(json.at("formula").as_string(), "hours * price");
  EXPECT_EQ(json.at("inputs").as_array()[0].at("origin").as_string(), "published");
  EXPECT_EQ(json.at("inputs").as_array()[1].at("value").as_number(), 2);
}

TEST(FormulaText, NamesAreFoundAndReplaced) {
  EXPECT_THAT(names_in("a1 + 1e9*b_2 - a1/2.5E-3e"), ElementsAre("a1", "b_2", "e"));
  EXPECT_EQ(replace_names("a+ab*1e3",
                          [](const std::string& n) { return n == "a" ? "7" : std::string(); }),
            "7+ab*1e3");
}

}  // namespace
}  // namespace hadal
