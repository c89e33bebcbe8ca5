// The sentence stands where it should, and a model that has learned nothing is right by chance.
#include "hadal/measure/needle.h"

#include <gtest/gtest.h>

#include <algorithm>

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
  const int64_t context = 600;
  std::vector<int64_t> before;
  for (const double depth : {0.0, 0.5, 1.0}) {
    const NeedlePrompt prompt = needle_prompt(model_, context, depth, "1234567");
    EXPECT_EQ(std::ssize(prompt.ids), context);
    const std::vector<int64_t> at = places(prompt.ids, prompt.answer);
    ASSERT_EQ(at.size(), 1U);
    before.push_back(at.front());
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
