// The trial of --speculate auto on made-up times, and that it changes no token.
#include "hadal/infer/speculation_trial.h"

#include "gtest/gtest.h"
#include "hadal/infer/session.h"
#include "tests/support/random_model.h"

namespace hadal {
namespace {

struct Step {
  int64_t tokens;
  double seconds;
};

// Runs a trial to its end; returns the number of steps that were made with drafts.
int64_t run_trial(SpeculationTrial& trial, Step with, Step without) {
  int64_t drafted = 0;
  while (!trial.decided()) {
    const Step& step = trial.wants_drafts() ? with : without;
    drafted += trial.wants_drafts() ? 1 : 0;
    trial.add(step.tokens, step.seconds);
  }
  return drafted;
}

TEST(SpeculationTrial, TakesTheFasterWay) {
  struct Case {
    Step with, without;
    bool pays;
  };
  for (const Case& c : {Case{{2, 1.5}, {1, 1.0}, true}, Case{{2, 2.5}, {1, 1.0}, false},
                        Case{{1, 1.1}, {1, 1.0}, false}, Case{{2, 2.0}, {1, 1.0}, true}}) {
    SpeculationTrial trial;
    EXPECT_EQ(run_trial(trial, c.with, c.without),
              SpeculationTrial::kBlockSteps * SpeculationTrial::kBlocks / 2);
    EXPECT_EQ(trial.wants_drafts(), c.pays) << c.with.seconds;
    trial.add(1, 1e9);  // the decision stands
    EXPECT_EQ(trial.wants_drafts(), c.pays);
  }
}

TEST(SpeculationTrial, NeitherSingleLongStepsNorTheFirstOfABlockDecide) {
  SpeculationTrial trial;
  for (int64_t step = 0; !trial.decided(); ++step) {
    const bool disturbed = step % 7 == 3;
    if (step % SpeculationTrial::kBlockSteps == 0) {
      trial.add(trial.wants_drafts() ? 1 : 100, 1.0);
    } else if (trial.wants_drafts()) {
      trial.add(2, disturbed ? 100.0 : 1.5);
    } else {
      trial.add(1, disturbed ? 0.01 : 1.0);
    }
  }
  EXPECT_TRUE(trial.wants_drafts());
}

TEST(SpeculationTrial, DropsNoTokenAndChangesNone) {
  test::RandomModel random(test::odd_config(), 3);
  const std::vector<int32_t> prompt = random.random_tokens(10, 1);
  GenerateOptions options{.max_tokens = 120};
  const std::vector<int32_t> plain = generate(random.ctx, random.model, prompt, options).tokens;
  options.draft_tokens = 1;
  options.drop_slow_drafts = true;
  GenerationSession session(random.ctx, random.model, 400, true);
  const GenerateResult first = session.generate(prompt, options);
  EXPECT_EQ(first.tokens, plain);
  EXPECT_GT(first.drafted, 0);
  EXPECT_LT(first.drafted, first.decode_steps);  // the trial has steps without drafts in any case

  // A next turn of the same session, the trial being over and rows of the modules missing or not.
  std::vector<int32_t> longer = prompt;
  longer.insert(longer.end(), plain.begin(), plain.end());
  const GenerateResult second = session.generate(longer, options);
  EXPECT_EQ(second.drafts_dropped, second.drafted == 0);
  EXPECT_EQ(second.tokens, generate(random.ctx, random.model, longer, {.max_tokens = 120}).tokens);
}

TEST(SpeculationTrial, SampledTextDoesNotDependOnTheClock) {
  test::RandomModel random(test::odd_config(), 3);
  const std::vector<int32_t> prompt = random.random_tokens(10, 1);
  GenerateOptions options{.max_tokens = 120, .sampling = {.temperature = 1.0, .seed = 4}};
  options.draft_tokens = 1;
  const GenerateResult always = generate(random.ctx, random.model, prompt, options);
  options.drop_slow_drafts = true;
  const GenerateResult tried = generate(random.ctx, random.model, prompt, options);
  EXPECT_EQ(tried.tokens, always.tokens);
  EXPECT_EQ(tried.drafted, always.drafted);
}

}  // namespace
}  // namespace hadal
