// The choice of drafts on made-up times and acceptances, and that no clock changes a token.
#include "hadal/infer/draft_policy.h"

#include "gtest/gtest.h"
#include "hadal/infer/session.h"
#include "tests/support/random_model.h"

namespace hadal {
namespace {

TEST(StepCosts, IsTheMedianOfTheLastPassesAndALineBetween) {
  StepCosts costs;
  EXPECT_FALSE(costs.pass_seconds(1).has_value());
  for (const double seconds : {1.0, 1.1, 50.0}) costs.add_pass(1, seconds);
  EXPECT_EQ(costs.pass_seconds(1), 1.1);
  EXPECT_EQ(costs.pass_seconds(2), 1.1) << "not measured: tried as if it cost nothing more";
  EXPECT_FALSE(costs.pass_seconds(3).has_value()) << "too far";
  for (int i = 0; i < 3; ++i) costs.add_pass(5, 3.1);
  EXPECT_NEAR(*costs.pass_seconds(3), 2.1, 1e-12);
  for (int i = 0; i < 5; ++i) costs.add_pass(1, 2.0);
  EXPECT_EQ(costs.pass_seconds(1), 2.0) << "old times are forgotten";
}

TEST(StepCosts, OldFiguresAreNotBelieved) {
  StepCosts costs;
  for (int i = 0; i < 3; ++i) costs.add_pass(1, 1.0);
  for (int i = 0; i < 3; ++i) costs.add_pass(2, 9.0);
  for (int64_t i = 0; i < StepCosts::kOld; ++i) costs.add_pass(1, 1.0);
  EXPECT_EQ(costs.pass_seconds(2), 9.0);
  costs.add_pass(1, 1.0);
  EXPECT_EQ(costs.pass_seconds(2), 1.0) << "to be tried again";
}

TEST(Acceptance, CountsEachPlaceForItselfAndFades) {
  Acceptance acceptance(0.5);
  EXPECT_EQ(acceptance.expected(2), 0.5 + 0.25);
  for (int i = 0; i < 100; ++i) acceptance.add(2, 1);  // the first kept, the second never
  EXPECT_NEAR(acceptance.expected(1), 1.0, 0.01);
  EXPECT_NEAR(acceptance.expected(2), 1.01, 0.02);
  // Behind a draft that was not kept nothing was tried.
  Acceptance first_failed(0.8);
  first_failed.add(3, 0);
  EXPECT_EQ(first_failed.expected(3), 0.4 + 0.4 * 0.4 + 0.4 * 0.4 * 0.4);
  Acceptance failed(0.8);
  for (int i = 0; i < 20; ++i) failed.add(1, 0);
  EXPECT_LT(failed.expected(1), 0.05);
  for (int i = 0; i < 200; ++i) failed.fade();
  EXPECT_GT(failed.expected(1), 0.5) << "it is tried again after a while";
}

// Steps of one request whose drafts are kept at these rates, on a machine with these times. Returns
// the seconds of a thousand tokens.
struct Machine {
  double row_seconds[9];  // of a pass of 1 + n rows
  double mtp_seconds;
  double mtp_kept, ngram_kept;  // of 10 drafts each
};
double seconds_of_a_thousand_tokens(const Machine& machine, const DraftOffer& offer) {
  StepCosts costs;
  DraftExperience experience;
  double seconds = 0, tokens = 0;
  for (int64_t step = 0; tokens < 1000; ++step) {
    const PlannedStep planned{.n_rows = 1, .tokens = 1};
    const DraftPlan plan = choose_drafts(costs, planned, offer, experience);
    const double kept_of_ten =
        plan.source == DraftSource::kMtp ? machine.mtp_kept : machine.ngram_kept;
    int64_t kept = 0;  // a fixed pattern of the rate
    while (kept < plan.n && static_cast<double>((7 * (step + 3 * kept)) % 10) < kept_of_ten) ++kept;
    const double pass = machine.row_seconds[plan.n];
    costs.add_pass(1 + plan.n, pass);
    seconds += pass;
    if (plan.source == DraftSource::kMtp) {
      costs.add_mtp_pass(machine.mtp_seconds);
      seconds += static_cast<double>(plan.n) * machine.mtp_seconds;
    }
    if (plan.n > 0) experience.of(plan.source, offer.match_length).add(plan.n, kept);
    experience.fade();
    tokens += static_cast<double>(1 + kept);
  }
  return seconds;
}

TEST(DraftPolicy, TakesWhatPaysAndNeverLosesMuch) {
  const DraftOffer both{.n_mtp = 3, .n_ngram = 7, .match_length = 4};
  // Nothing is kept: as fast as plain, but for the trials.
  Machine machine{{1, 2, 3, 4, 5, 6, 7, 8, 9}, 0.1, 0, 0};
  EXPECT_LT(seconds_of_a_thousand_tokens(machine, both), 1040);
  // Kept, but every row costs a whole pass: the same.
  machine.mtp_kept = machine.ngram_kept = 8;
  EXPECT_LT(seconds_of_a_thousand_tokens(machine, both), 1040);
  // Rows cost little. One draft of the modules makes 1.8 tokens in 1.15 s; the n-grams, seven of
  // which are all kept, nearly eight in 1.35 s.
  machine = {{1, 1.05, 1.1, 1.15, 1.2, 1.25, 1.3, 1.35, 1.4}, 0.1, 8, 0};
  EXPECT_LT(seconds_of_a_thousand_tokens(machine, both), 1.05 / 1.8 * 1150);
  machine.ngram_kept = 10;
  EXPECT_LT(seconds_of_a_thousand_tokens(machine, both), 1.2 * 1000 * 1.35 / 8);
  EXPECT_LT(seconds_of_a_thousand_tokens(machine, {.n_ngram = 7, .match_length = 2}),
            1.2 * 1000 * 1.35 / 8);
}

TEST(DraftPolicy, CountsTheRowsOfOthersInABatch) {
  StepCosts costs;
  DraftExperience experience;
  const DraftOffer one{.n_mtp = 1};
  for (int i = 0; i < 3; ++i) {
    costs.add_pass(8, 1.0);
    costs.add_pass(9, 1.05);  // 8 tokens a second become 8.8 in 1.05
    costs.add_pass(10, 1.3);
  }
  EXPECT_EQ(choose_drafts(costs, {.n_rows = 8, .tokens = 8}, one, experience).n, 1);
  EXPECT_EQ(choose_drafts(costs, {.n_rows = 9, .tokens = 8.8}, one, experience).n, 0);
  // Requests draft together: where another one does, the modules' pass is paid already.
  for (int i = 0; i < 3; ++i) costs.add_mtp_pass(0.5);
  EXPECT_EQ(choose_drafts(costs, {.n_rows = 8, .tokens = 8}, one, experience).n, 0);
  EXPECT_EQ(choose_drafts(costs, {.n_rows = 8, .tokens = 8, .mtp_passes = 1}, one, experience).n,
            1);
}

TEST(DraftPolicy, AGainWithinTheNoiseIsNone) {
  for (const auto& [two_rows, n] : {std::pair{1.75, 0}, std::pair{1.70, 1}}) {
    StepCosts costs;
    DraftExperience experience;
    for (int i = 0; i < 3; ++i) {
      costs.add_pass(1, 1.0);
      costs.add_pass(2, two_rows);  // 1.8 tokens in so many seconds, for one in 1
    }
    EXPECT_EQ(choose_drafts(costs, {.n_rows = 1, .tokens = 1}, {.n_mtp = 1}, experience).n, n);
  }
}

TEST(DraftPolicy, AllDraftsAreOfNgramsWhereALongOneMatches) {
  const auto source = [](const DraftOffer& offer) { return all_drafts(offer).source; };
  EXPECT_EQ(source({.n_mtp = 2, .n_ngram = 2, .match_length = 3}), DraftSource::kNgram);
  EXPECT_EQ(source({.n_mtp = 2, .n_ngram = 2, .match_length = 2}), DraftSource::kMtp);
  EXPECT_EQ(source({.n_mtp = 0, .n_ngram = 2, .match_length = 2}), DraftSource::kNgram);
  EXPECT_EQ(source({}), DraftSource::kNone);
}

TEST(DraftPolicy, ChangesNoTokenGreedyOrSampled) {
  test::RandomModel random(test::odd_config(), 3);
  const std::vector<int32_t> prompt = random.random_tokens(10, 1);
  for (const double temperature : {0.0, 1.0}) {
    GenerateOptions options{.max_tokens = 120, .sampling = {.temperature = temperature, .seed = 4}};
    const std::vector<int32_t> plain = generate(random.ctx, random.model, prompt, options).tokens;
    options.draft_tokens = kMaxDraftTokens;
    options.drop_slow_drafts = true;
    GenerationSession session(random.ctx, random.model, 400, true, {.reuse = Reuse::kRead});
    const GenerateResult first = session.generate(prompt, options);
    EXPECT_EQ(first.tokens, plain);
    EXPECT_GE(first.plain_steps, 3) << "plain steps are measured first";

    // A next turn of the same session, rows of the modules missing or not.
    std::vector<int32_t> longer = prompt;
    longer.insert(longer.end(), plain.begin(), plain.end());
    const GenerateResult second = session.generate(longer, options);
    options.draft_tokens = 0;
    EXPECT_EQ(second.tokens, generate(random.ctx, random.model, longer, options).tokens);
  }
}

}  // namespace
}  // namespace hadal
