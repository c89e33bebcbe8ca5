// A gap below the noise is never a result.
#include "hadal/reproduce/verdict.h"

#include <gtest/gtest.h>

namespace hadal {
namespace {

Outcome outcome(const std::string& variant, int64_t seed, double loss, bool other_order = false) {
  Outcome result{.variant = variant, .seed = seed, .other_order = other_order};
  result.figures["loss"] = loss;
  return result;
}

Claim lower(double factor = 1.0) {
  return {.text = "a is lower",
          .reported = "",
          .figure = "loss",
          .variant = "a",
          .baseline = "b",
          .factor = factor};
}

std::vector<Outcome> three_seeds(double a, double b, double noise) {
  return {outcome("a", 0, a),         outcome("b", 0, b),         outcome("a", 1, a + noise),
          outcome("b", 1, b + noise), outcome("a", 2, a - noise), outcome("b", 2, b - noise)};
}

TEST(Verdict, ComparesSeedBySeed) {
  const ComparedVariants c = compare_outcomes(lower(), three_seeds(2.0, 3.0, 0.25));
  EXPECT_DOUBLE_EQ(c.gap, -1.0);
  EXPECT_DOUBLE_EQ(c.gap_low, -1.0);
  EXPECT_DOUBLE_EQ(c.gap_high, -1.0);
  EXPECT_DOUBLE_EQ(c.floor_seeds, 0.5);
  EXPECT_DOUBLE_EQ(c.variant.mean, 2.0);
  EXPECT_EQ(c.variant.seeds, 3);
  EXPECT_EQ(c.verdict, Verdict::kShows);
}

TEST(Verdict, OtherSeedsAreNoise) {
  EXPECT_EQ(compare_outcomes(lower(), three_seeds(2.0, 3.0, 0.6)).verdict,
            Verdict::kNotDistinguishable);
  // Exactly as large as the floor is not above it.
  EXPECT_EQ(compare_outcomes(lower(), three_seeds(2.0, 3.0, 0.5)).verdict,
            Verdict::kNotDistinguishable);
  EXPECT_EQ(compare_outcomes(lower(), three_seeds(3.0, 2.0, 0.1)).verdict, Verdict::kDoesNotShow);
}

TEST(Verdict, TheNoisierVariantIsTheFloor) {
  std::vector<Outcome> outcomes = three_seeds(2.0, 3.0, 0.0);
  outcomes[3] = outcome("b", 1, 4.5);  // b: 3, 4.5, 3
  const ComparedVariants c = compare_outcomes(lower(), outcomes);
  EXPECT_DOUBLE_EQ(c.floor_seeds, 1.5);
  EXPECT_EQ(c.verdict, Verdict::kNotDistinguishable);
}

TEST(Verdict, AnotherOrderOfSummationIsNoise) {
  std::vector<Outcome> outcomes = three_seeds(2.0, 2.1, 0.0);
  EXPECT_EQ(compare_outcomes(lower(), outcomes).verdict, Verdict::kShows);
  outcomes.push_back(outcome("a", 0, 2.2, /*other_order=*/true));
  const ComparedVariants c = compare_outcomes(lower(), outcomes);
  EXPECT_NEAR(c.floor_order, 0.2, 1e-12);
  EXPECT_DOUBLE_EQ(c.variant.mean, 2.0);  // it is not one of the seeds
  EXPECT_EQ(c.verdict, Verdict::kNotDistinguishable);
}

TEST(Verdict, AFactorMustBeReached) {
  EXPECT_EQ(compare_outcomes(lower(4.0), three_seeds(1.0, 4.5, 0.1)).verdict, Verdict::kShows);
  EXPECT_EQ(compare_outcomes(lower(4.0), three_seeds(1.0, 3.5, 0.1)).verdict,
            Verdict::kDoesNotShow);
  Claim higher = lower();
  higher.higher = true;
  EXPECT_EQ(compare_outcomes(higher, three_seeds(3.0, 2.0, 0.1)).verdict, Verdict::kShows);
  EXPECT_EQ(compare_outcomes(higher, three_seeds(2.0, 3.0, 0.1)).verdict, Verdict::kDoesNotShow);
}

TEST(Verdict, TheSameWithinABound) {
  Claim same = lower();
  same.within = 0.01;  // of 2.0: 0.02
  const auto of = [&](double a, double noise) {
    return compare_outcomes(same, three_seeds(a, 2.0, noise)).verdict;
  };
  EXPECT_EQ(of(2.015, 0.5), Verdict::kShows);  // whatever the seeds' own noise
  EXPECT_EQ(of(1.985, 0.5), Verdict::kShows);
  EXPECT_EQ(of(2.03, 0.1), Verdict::kNotDistinguishable);
  EXPECT_EQ(of(2.03, 0.001), Verdict::kDoesNotShow);
  EXPECT_EQ(of(1.97, 0.001), Verdict::kDoesNotShow);
  // One seed beyond the bound is enough.
  std::vector<Outcome> outcomes = three_seeds(2.0, 2.0, 0.001);
  outcomes[0].figures["loss"] = 2.03;
  EXPECT_EQ(compare_outcomes(same, outcomes).verdict, Verdict::kNotDistinguishable);
}

TEST(Verdict, TheWeakestClaimDecides) {
  const auto with = [](Verdict verdict) {
    ComparedVariants c;
    c.verdict = verdict;
    return c;
  };
  const ComparedVariants yes = with(Verdict::kShows), no = with(Verdict::kDoesNotShow),
                         unknown = with(Verdict::kNotDistinguishable);
  EXPECT_EQ(overall({yes, yes}), Verdict::kShows);
  EXPECT_EQ(overall({yes, unknown}), Verdict::kNotDistinguishable);
  EXPECT_EQ(overall({unknown, no, yes}), Verdict::kDoesNotShow);
}

}  // namespace
}  // namespace hadal
