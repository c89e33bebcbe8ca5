// The sentence stands where it should, and a model that has learned nothing is right by chance.
#include "hadal/measure/needle.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "hadal/core/rng.h"
#include "hadal/infer/score.h"
#include "tests/support/refusal.h"
#include "tests/support/text_model_folder.h"

namespace hadal {
namespace {

class NeedleTest : public testing::Test {
 protected:
  TextModel model_{test::text_model_folder(), 1, Device::kCpu, false};
};

// Where `needle` begins in `ids`; all places.
std::vector<int64_t> places(const std::vector<int32_t>& ids, const std::vector<int32_t>& needle) {
  std::vector<int64_t> result;
  for (auto at = ids.begin();;) {
    at = std::search(at, ids.end(), needle.begin(), needle.end());
    if (at == ids.end()) return result;
    result.push_back(at++ - ids.begin());
  }
}

TEST_F(NeedleTest, TheSentenceStandsOnceAtItsDepthAndTheQuestionBehindAll) {
  const std::string problem =
      test::refusal_of([&] { needle_prompt(model_, 3, 0, "1234567"); }).problem;
  EXPECT_EQ(problem, "too short for the sentence");
  const int64_t context = 605;
  std::vector<int64_t> before;
  for (const double depth : {0.0, 0.5, 1.0}) {
    const NeedlePrompt prompt = needle_prompt(model_, context, depth, "1234567");
    EXPECT_EQ(std::ssize(prompt.ids), context);
    const std::vector<int64_t> at = places(prompt.ids, prompt.answer);
    ASSERT_EQ(at.size(), 1U);
    before.push_back(at.front());
    if (depth == 0.0) {  // nothing but the mark of the beginning stands before the sentence
      const auto begin = prompt.ids.begin() + (model_.tokenizer->bos_id() ? 1 : 0);
      const auto answer = prompt.ids.begin() + at.front();
      EXPECT_TRUE(std::equal(begin, answer, prompt.ids.end() - (answer - begin)));
    }
    // The question repeats what stands before the answer.
    const auto answer = prompt.ids.begin() + at.front();
    EXPECT_TRUE(std::equal(prompt.ids.end() - 8, prompt.ids.end(), answer - 8));
  }
  EXPECT_NEAR(static_cast<double>(before[1]), static_cast<double>(before[0] + before[2]) / 2, 1);
  EXPECT_GT(before[2] - before[0], 300);
}

TEST_F(NeedleTest, AModelThatHasLearnedNothingFindsNothing) {
  NeedleOptions options{.contexts = {112}, .depths = {0, 1}, .trials = 3};
  int calls = 0;
  options.on_progress = [&](double) { return ++calls < 100; };
  const std::vector<NeedleCell> cells = find_needles(model_, options);
  ASSERT_EQ(cells.size(), 2U);
  for (const NeedleCell& cell : cells) {
    EXPECT_EQ(cell.found, 0);
    EXPECT_GE(cell.mean_rank, 0);
    EXPECT_LE(cell.mean_rank, kNeedleCandidates - 1);
    EXPECT_LT(cell.logprob, 0);
  }
  EXPECT_EQ(calls, 6);
}

TEST_F(NeedleTest, AnAnswersLogprobIsThatOfAllItsTokens) {
  const NeedleOptions options{
      .contexts = {112}, .depths = {0.5}, .trials = 1, .cache = LatentForm::kF32, .seed = 4};
  const std::vector<NeedleCell> cells = find_needles(model_, options);
  Rng rng(4);
  std::string number;
  for (int i = 0; i < 7; ++i) number += static_cast<char>('0' + rng.uniform_below(10));
  ASSERT_NE(number.front(), '0');
  NeedlePrompt prompt = needle_prompt(model_, 112, 0.5, number);
  prompt.ids.insert(prompt.ids.end(), prompt.answer.begin(), prompt.answer.end());
  const std::vector<double> scores = score_tokens(model_.ctx, model_.model, prompt.ids);
  const double want = std::accumulate(scores.end() - std::ssize(prompt.answer), scores.end(), 0.0);
  EXPECT_NEAR(cells.at(0).logprob, want, 1e-3);
}

TEST_F(NeedleTest, GivesUpWhenAsked) {
  int calls = 0;
  NeedleOptions options{.contexts = {112}, .depths = {0, 1}, .trials = 2};
  options.on_progress = [&](double) { return ++calls < 3; };
  EXPECT_EQ(find_needles(model_, options).size(), 1U);
  EXPECT_EQ(calls, 3);
}

TEST_F(NeedleTest, RefusesWhatTheModelCannotHold) {
  const auto field = [&](const NeedleOptions& options) {
    return test::refusal_of([&] { find_needles(model_, options); }).field;
  };
  EXPECT_EQ(field({.contexts = {100000}, .depths = {0}}), "context");
  EXPECT_EQ(field({.contexts = {100}, .depths = {1.5}}), "depths");
  EXPECT_EQ(field({.contexts = {100}, .depths = {0}, .trials = 0}), "trials");
}

}  // namespace
}  // namespace hadal
