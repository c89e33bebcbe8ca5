// A request that moves from one engine to another goes on as if it had stayed: tokens, drafts, logprobs and
// recorded experts.
#include <gtest/gtest.h>

#include "hadal/infer/session.h"
#include "tests/support/random_model.h"
#include "tests/support/refusal.h"

namespace hadal {
namespace {

using test::RandomModel;

EngineOptions engine_options(LatentForm form, int64_t capacity = 600) {
  return {.context = 200, .capacity = capacity, .chunk = 32, .cache = {form, Reuse::kRead, {}}};
}

Request request_of(const RandomModel& random, uint64_t number) {
  Request request;
  request.prompt = random.random_tokens(20 + 31 * static_cast<int64_t>(number % 4), number);
  GenerateOptions& options = request.options;
  options.max_tokens = 60;
  options.sampling.temperature = number % 2 == 0 ? 0.0 : 0.7;
  options.sampling.seed = number;
  options.sampling.repetition_penalty = 1.05;
  options.draft_tokens = static_cast<int64_t>(number % 4);
  options.draft_from = DraftFrom::kMtp;
  options.record = true;
  options.top_logprobs = 2;
  return request;
}

// After `n_steps` steps with tokens in one engine, the rest in another.
GenerateResult moved(RandomModel& random, const Request& request, LatentForm form, int n_steps) {
  Engine from(random.ctx, random.model, engine_options(form)),
      to(random.ctx, random.model, engine_options(form));
  const RequestId there = from.add(request).value();
  EXPECT_FALSE(from.hand_over(there));  // nothing is read yet
  for (int n = 0; n < n_steps;) n += from.step().front().tokens.empty() ? 0 : 1;
  std::optional<SequenceState> state = from.hand_over(there);
  EXPECT_TRUE(state);
  EXPECT_TRUE(from.idle());
  EXPECT_FALSE(from.hand_over(there));
  Answers answers(to);
  answers.expect(to.take_over(std::move(*state)), 0, RunningAnswer(std::ssize(request.prompt)));
  while (!to.idle()) answers.take(to.step());
  return answers.finished().at(0);
}

class HandOverTest : public ::testing::TestWithParam<int64_t> {};  // MTP modules

TEST_P(HandOverTest, NothingChangesByIt) {
  RandomModel random(GetParam() == 2 ? test::two_mtp_config() : test::odd_config(), 11);
  int64_t accepted = 0;
  for (uint64_t number = 0; number < 8; ++number) {
    const LatentForm form = number % 3 == 0 ? LatentForm::kFp8 : LatentForm::kBF16;
    const Request request = request_of(random, number);
    GenerationSession session(random.ctx, random.model, 200, true, {form, Reuse::kRead, {}});
    const GenerateResult alone = session.generate(request.prompt, request.options);
    accepted += alone.mtp.accepted;
    for (const int n_steps : {1, 2, 9}) {
      const GenerateResult result = moved(random, request, form, n_steps);
      EXPECT_EQ(result.tokens, alone.tokens) << number;
      EXPECT_EQ(result.finish_reason, alone.finish_reason);
      EXPECT_EQ(result.mtp.drafted, alone.mtp.drafted) << number;
      EXPECT_EQ(result.mtp.accepted, alone.mtp.accepted) << number << ", " << n_steps << " steps";
      EXPECT_EQ(result.decode_steps, alone.decode_steps) << number;
      EXPECT_EQ(result.record->experts, alone.record->experts) << number;
      EXPECT_EQ(result.record->mask_ids, alone.record->mask_ids) << number;
      ASSERT_EQ(result.logprobs.size(), alone.logprobs.size());
      for (size_t i = 0; i < alone.logprobs.size(); ++i) {
        EXPECT_EQ(result.logprobs[i].logprob, alone.logprobs[i].logprob);
      }
    }
  }
  EXPECT_GT(accepted, 5);  // so that other drafts would be noticed
}

INSTANTIATE_TEST_SUITE_P(Modules, HandOverTest, ::testing::Values(1, 2));

// Taken over into a pool that has no room yet, and put back there when it runs out of pages.
TEST(HandOver, WaitsForRoomAndIsPutBackLikeOthers) {
  RandomModel random(test::odd_config(), 11);
  Engine from(random.ctx, random.model, engine_options(LatentForm::kBF16, 2000)),
      to(random.ctx, random.model, engine_options(LatentForm::kBF16, 256));
  std::map<uint64_t, std::vector<int32_t>> want;
  std::map<RequestId, uint64_t> number_of;
  for (uint64_t number = 0; number < 6; ++number) {
    Request request = request_of(random, number);
    request.options.record = false;
    GenerationSession session(random.ctx, random.model, 200, true,
                              {LatentForm::kBF16, Reuse::kRead, {}});
    want[number] = session.generate(request.prompt, request.options).tokens;
    number_of[from.add(request).value()] = number;
  }
  Answers answers(to);
  while (!from.idle()) {
    for (const EngineEvent& event : from.step()) {
      if (event.tokens.empty()) continue;
      SequenceState state = from.hand_over(event.id).value();
      const int64_t n_prompt = std::ssize(state.request.prompt);
      answers.expect(to.take_over(std::move(state)), static_cast<int64_t>(number_of.at(event.id)),
                     RunningAnswer(n_prompt));
    }
  }
  while (!to.idle()) answers.take(to.step());
  EXPECT_GT(to.counts().preemptions, 0);
  const auto results = answers.finished();
  ASSERT_EQ(results.size(), want.size());
  for (const auto& [number, result] : results) {
    EXPECT_EQ(result.tokens, want[static_cast<uint64_t>(number)]) << number;
  }
  EXPECT_EQ(to.pages().n_free(), to.pages().n_pages());
}

TEST(HandOver, PagesOfAnotherPoolAreRefused) {
  RandomModel random(test::odd_config(), 11);
  Engine from(random.ctx, random.model, engine_options(LatentForm::kBF16)),
      to(random.ctx, random.model, engine_options(LatentForm::kF32));
  const RequestId id = from.add(request_of(random, 1)).value();
  while (from.step().front().tokens.empty()) {
  }
  to.take_over(from.hand_over(id).value());
  test::expect_refused<ShapeError>([&] { to.step(); }, "latent pages: of another pool");
}

}  // namespace
}  // namespace hadal
