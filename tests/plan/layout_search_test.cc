#include "hadal/plan/layout_search.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "hadal/plan/training_plan.h"
#include "tests/plan/sheet_of.h"

namespace hadal {
namespace {

using ::testing::HasSubstr;

// Every legal layout tried one after the other, without bounds or families.
struct AllTried {
  double fastest = std::numeric_limits<double>::infinity();
  size_t fitting = 0;
};
AllTried try_all(Worksheet& sheet) {
  const LayoutFacts facts = layout_facts(sheet);
  AllTried result;
  std::vector<std::pair<ScheduleKind, int64_t>> kinds;  // with the stages of a rank
  for (const std::string& name : schedule_names()) {
    const ScheduleKind kind = parse_schedule_kind(name);
    const int64_t most = kind == ScheduleKind::kInterleaved ? 8 : 1;
    for (int64_t per_rank = 1; per_rank <= most; ++per_rank) kinds.emplace_back(kind, per_rank);
  }
  for (const auto& [schedule, per_rank] : kinds) {
    for (int64_t pp = 1; pp <= facts.n_layers; ++pp) {
      for (int64_t ep = 1; ep <= facts.n_routed_experts; ++ep) {
        for (int64_t micro = 1; micro <= 64; micro *= 2) {
          for (int recompute = 0; recompute < 3; ++recompute) {
            const Layout layout = {
                pp, ep, micro, schedule, static_cast<Recompute>(recompute), true, per_rank};
            if (!layout_problem(layout, facts).empty()) continue;
            set_layout(sheet, layout);
            if (sheet.value("memory_headroom") < 0) continue;
            ++result.fitting;
            result.fastest = std::min(result.fastest, sheet.value("step_seconds"));
          }
        }
      }
    }
  }
  return result;
}

TEST(LayoutSearch, FindsWhatTryingEveryLegalLayoutFinds) {
  Worksheet sheet = sheet_of("deepseek-v2-lite", "h800-16");
  sheet.set("batch_sequences", 256);
  const LayoutSearch search = search_layouts(sheet, 3, [](size_t) {});
  ASSERT_FALSE(search.fitting.empty());
  const AllTried all = try_all(sheet);
  EXPECT_DOUBLE_EQ(search.fitting.front().step_seconds, all.fastest);
  EXPECT_EQ(search.fitting.size(), all.fitting);
}

TEST(LayoutSearch, BoundsHoldAndTheBestComeFirst) {
  Worksheet sheet = sheet_of("deepseek-v3", "h800-2048");
  const std::string before = layout_text(layout_of(sheet));
  const LayoutSearch search = search_layouts(sheet, 5, [](size_t) {});
  EXPECT_EQ(layout_text(layout_of(sheet)), before);
  ASSERT_GE(search.n_simulated, 5U);
  ASSERT_LT(search.n_simulated, search.fitting.size());
  for (size_t i = 0; i < search.fitting.size(); ++i) {
    const LayoutScore& score = search.fitting[i];
    EXPECT_LE(score.memory, 80e9);
    if (i < search.n_simulated) {
      EXPECT_LE(score.bound_seconds, score.step_seconds) << layout_text(score.layout);
      if (i > 0) {
        EXPECT_GE(score.step_seconds, search.fitting[i - 1].step_seconds);
      }
    } else {
      EXPECT_GE(score.bound_seconds, search.fitting[4].step_seconds);
    }
  }
}

TEST(LayoutSearch, EveryRejectedLayoutHasItsReason) {
  Worksheet sheet = sheet_of("deepseek-v3", "h800-256");
  const LayoutFacts facts = layout_facts(sheet);
  const LayoutSearch search = search_layouts(sheet, 3, [](size_t) {});
  size_t by_memory = 0;
  for (const RejectedLayout& each : search.rejected) {
    ASSERT_FALSE(each.why.empty());
    if (each.memory_over > 0) {
      ++by_memory;
      EXPECT_TRUE(layout_problem(each.layout, facts).empty()) << layout_text(each.layout);
      EXPECT_THAT(each.why.line(), HasSubstr("over; the largest part:"));
    } else {
      EXPECT_EQ(layout_problem(each.layout, facts).line(), each.why.line());
      EXPECT_EQ(each.kind.find_first_of("(;"), std::string::npos) << each.kind;
    }
  }
  EXPECT_GT(by_memory, 0U);
  EXPECT_LT(by_memory, search.rejected.size());
}

}  // namespace
}  // namespace hadal
