// The schedules at every boundary that the report gives (section 4.2).
#include "hadal/optim/learning_rate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace hadal {
namespace {

constexpr int64_t kBillion = 1'000'000'000;
constexpr int64_t kTrillion = 1000 * kBillion;

double v3_rate(int64_t tokens) { return learning_rate({}, {100000, tokens, 0}); }

TEST(LearningRate, WarmsUpLinearlyOver2000Steps) {
  const LearningRateSchedule v3;
  EXPECT_DOUBLE_EQ(learning_rate(v3, {0, 0, 0}), 2.2e-4 / 2000);
  EXPECT_DOUBLE_EQ(learning_rate(v3, {999, 5 * kBillion, 0}), 1.1e-4);
  EXPECT_DOUBLE_EQ(learning_rate(v3, {1999, 10 * kBillion, 0}), 2.2e-4);
  EXPECT_DOUBLE_EQ(learning_rate(v3, {2000, 10 * kBillion, 0}), 2.2e-4);
}

TEST(LearningRate, WarmsUpOverTokensWhenNoStepsAreGiven) {
  LearningRateSchedule schedule;
  schedule.warmup_steps = 0;
  schedule.warmup_tokens = 4000;
  EXPECT_DOUBLE_EQ(learning_rate(schedule, {0, 0, 1000}), 2.2e-4 / 4);
  EXPECT_DOUBLE_EQ(learning_rate(schedule, {3, 3000, 1000}), 2.2e-4);
  schedule.warmup_tokens = 0;
  EXPECT_DOUBLE_EQ(learning_rate(schedule, {0, 0, 1000}), 2.2e-4);
}

TEST(LearningRate, FollowsTheReportAtEveryBoundary) {
  EXPECT_DOUBLE_EQ(v3_rate(10 * kTrillion - 1), 2.2e-4);
  EXPECT_DOUBLE_EQ(v3_rate(10 * kTrillion), 2.2e-4);  // the cosine starts at its top
  EXPECT_LT(v3_rate(10 * kTrillion + kBillion), 2.2e-4);
  EXPECT_DOUBLE_EQ(v3_rate(12'150 * kBillion), (2.2e-4 + 2.2e-5) / 2);  // half of 4.3T
  EXPECT_NEAR(v3_rate(14'300 * kBillion - 1), 2.2e-5, 1e-12);
  EXPECT_DOUBLE_EQ(v3_rate(14'300 * kBillion), 2.2e-5);
  EXPECT_DOUBLE_EQ(v3_rate(14'633 * kBillion - 1), 2.2e-5);
  EXPECT_DOUBLE_EQ(v3_rate(14'633 * kBillion), 7.3e-6);
  EXPECT_DOUBLE_EQ(v3_rate(14'800 * kBillion), 7.3e-6);
}

TEST(LearningRate, CosineHasTheReportsForm) {
  for (const double x : {0.1, 0.25, 0.7, 0.9}) {
    const auto tokens = 10 * kTrillion + static_cast<int64_t>(x * 4300.0 * kBillion);
    const double want = 2.2e-5 + (2.2e-4 - 2.2e-5) * 0.5 * (1 + std::cos(std::numbers::pi * x));
    EXPECT_NEAR(v3_rate(tokens), want, 1e-13) << x;
  }
}

TEST(BatchRamp, GrowsLinearlyInTokensAndInQuanta) {
  const BatchRamp v3{3072, 15360, 469 * kBillion, 16};
  EXPECT_EQ(batch_sequences(v3, 0), 3072);
  EXPECT_EQ(batch_sequences(v3, 469 * kBillion / 2), (3072 + 15360) / 2);
  EXPECT_EQ(batch_sequences(v3, 469 * kBillion - 1), 15344);  // rounded down to a multiple of 16
  EXPECT_EQ(batch_sequences(v3, 469 * kBillion), 15360);
  EXPECT_EQ(batch_sequences(v3, 14 * kTrillion), 15360);
  for (int64_t tokens = 0; tokens < 500 * kBillion; tokens += 7 * kBillion) {
    EXPECT_EQ(batch_sequences(v3, tokens) % 16, 0) << tokens;
  }
}

TEST(BatchRamp, NeverFallsBelowOneQuantum) {
  EXPECT_EQ(batch_sequences({2, 64, 1000, 8}, 0), 8);
  EXPECT_EQ(batch_sequences({0, 64, 0, 8}, 0), 64);  // no ramp
}

TEST(SwitchSchedule, ChangesAtItsBoundary) {
  const SwitchSchedule lambda{0.3, 0.1, 10 * kTrillion};
  EXPECT_EQ(lambda.at(0), 0.3);
  EXPECT_EQ(lambda.at(10 * kTrillion - 1), 0.3);
  EXPECT_EQ(lambda.at(10 * kTrillion), 0.1);
  const SwitchSchedule gamma{0.001, 0.0, 14'300 * kBillion};
  EXPECT_EQ(gamma.at(14'300 * kBillion - 1), 0.001);
  EXPECT_EQ(gamma.at(14'300 * kBillion), 0.0);
  const SwitchSchedule constant{0.5, 0.0, 0};
  EXPECT_EQ(constant.at(100 * kTrillion), 0.5);
}

}  // namespace
}  // namespace hadal
