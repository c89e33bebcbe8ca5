// Random requests of mixed lengths through one engine with a small pool: they come in bursts, share
// prefixes through the prefix cache, go on behind each other's answers, draft or not, are cancelled or
// ended while they wait, read and write, and are put back when pages run out. Every answer equals the
// same request's answer alone; no page is lost; memory does not grow. A few hundred of them by default;
// HADAL_STRESS=all runs ten thousand, HADAL_STRESS=N runs N.
#include <cstdlib>
#include <map>

#include "gtest/gtest.h"
#include "hadal/core/rng.h"
#include "hadal/infer/session.h"
#include "tests/support/random_model.h"

namespace hadal {
namespace {

using test::RandomModel;

int64_t n_requests() {
  const char* wish = std::getenv("HADAL_STRESS");
  if (wish == nullptr) return 300;
  return std::string_view(wish) == "all" ? 10000 : std::atoll(wish);
}

class EngineStress : public testing::Test {
 protected:
  static constexpr int64_t kContext = 320;

  int64_t below(int64_t bound) {
    return static_cast<int64_t>(rng_.uniform_below(static_cast<uint64_t>(bound)));
  }
  // One of so many requests; the same number is the same request. Every fourth goes on where the answer
  // of the one before it ends.
  Request request(int64_t number) {
    Rng own(static_cast<uint64_t>(number), 77);
    const auto pick = [&](int64_t bound) {
      return static_cast<int64_t>(own.uniform_below(static_cast<uint64_t>(bound)));
    };
    Request result;
    result.prompt = random_.random_tokens(100, 1000 + static_cast<uint64_t>(pick(4)));
    result.prompt.resize(static_cast<size_t>(pick(100)));  // a common beginning, then its own
    const std::vector<int32_t> tail =
        random_.random_tokens(1 + pick(30), static_cast<uint64_t>(number));
    if (number % 4 == 3) {
      const std::vector<int32_t>& answer = alone(number - 1).tokens;
      result.prompt = request(number - 1).prompt;
      result.prompt.insert(result.prompt.end(), answer.begin(), answer.end());
      result.prompt.resize(std::min<size_t>(result.prompt.size(), 200));
    }
    result.prompt.insert(result.prompt.end(), tail.begin(), tail.end());
    GenerateOptions& options = result.options;
    options.max_tokens = 1 + pick(pick(3) == 0 ? kContext - std::ssize(result.prompt) : 40);
    SamplingOptions& sampling = options.sampling;
    sampling.seed = own.next_u64();
    if (pick(3) > 0) sampling.temperature = 0.5 + 0.5 * static_cast<double>(pick(3));
    if (pick(3) == 0) sampling.top_p = 0.9;
    if (pick(4) == 0) sampling.top_k = 5;
    if (pick(4) == 0) sampling.repetition_penalty = 1.1;
    if (pick(4) == 0) options.stop_tokens = {static_cast<int32_t>(pick(53))};
    options.draft_tokens = pick(2) * pick(4);
    options.draft_from = static_cast<DraftFrom>(pick(3));
    options.drop_slow_drafts = pick(3) == 0;
    options.record = pick(8) == 0;
    if (pick(8) == 0) options.top_logprobs = 2;
    return result;
  }
  struct Answer {
    std::vector<int32_t> tokens;
    std::string finish_reason;
    std::vector<int32_t> experts;  // if it records
    std::vector<double> logprobs;  // of its tokens, if it wants them
  };
  const Answer& alone(int64_t number) {
    const auto [found, is_new] = alone_.try_emplace(number);
    if (is_new) {
      const Request each = request(number);
      GenerationSession session(random_.ctx, random_.model, kContext, true);
      GenerateResult result = session.generate(each.prompt, each.options);
      found->second.tokens = std::move(result.tokens);
      found->second.finish_reason = result.finish_reason;
      if (result.record) found->second.experts = result.record->experts;
      for (const TokenLogprobs& each_token : result.logprobs) {
        found->second.logprobs.push_back(each_token.logprob);
      }
    }
    return found->second;
  }
  struct Running {
    int64_t number;
    std::vector<int32_t> tokens;
    std::vector<double> logprobs;
  };
  void expect_prefix_of_alone(const Running& running) {
    const Answer& want = alone(running.number);
    ASSERT_LE(running.tokens.size(), want.tokens.size());
    EXPECT_TRUE(std::equal(running.tokens.begin(), running.tokens.end(), want.tokens.begin()))
        << "request " << running.number;
  }
  void take(const EngineEvent& event) {
    const auto found = running_.find(event.id);
    ASSERT_NE(found, running_.end()) << "an event of what was cancelled or is over";
    Running& running = found->second;
    running.tokens.insert(running.tokens.end(), event.tokens.begin(), event.tokens.end());
    for (const TokenLogprobs& each : event.logprobs) running.logprobs.push_back(each.logprob);
    if (!event.finished) return;
    const Answer& want = alone(running.number);
    EXPECT_EQ(running.tokens, want.tokens)
        << "request " << running.number << ", put back " << event.counts.preemptions << " times";
    EXPECT_EQ(running.logprobs, want.logprobs);
    EXPECT_EQ(*event.finished == FinishReason::kStop ? "stop" : "length", want.finish_reason);
    if (event.record) {
      EXPECT_EQ(event.record->experts, want.experts);
    }
    running_.erase(found);
    n_cached_ += event.counts.cached_tokens;
    ++n_answered_;
  }
  // Somebody goes, wherever the request is on its way.
  void end_one(Engine& engine) {
    auto victim = running_.begin();
    std::advance(victim, below(std::ssize(running_)));
    if (below(3) == 0) {
      engine.finish(victim->first);
    } else {
      engine.cancel(victim->first);
    }
    expect_prefix_of_alone(victim->second);
    running_.erase(victim);
    ++n_ended_;
  }

  RandomModel random_{test::odd_config(), 3, 2};
  Rng rng_{5};
  std::map<int64_t, Answer> alone_;
  std::map<RequestId, Running> running_;
  int64_t n_answered_ = 0, n_ended_ = 0, n_cached_ = 0;
};

TEST_F(EngineStress, EveryAnswerIsTheAnswerAloneAndNothingIsLost) {
  const int64_t n = n_requests(), n_kinds = std::min<int64_t>(n / 3, 600);
  for (int64_t number = 0; number < n_kinds; ++number) alone(number);
  Engine engine(random_.ctx, random_.model,
                {.context = kContext,
                 .capacity = 7 * kPageRows,
                 .max_running = 7,
                 .max_waiting = 12,
                 .chunk = 48,
                 .chunk_beside_decoding = 16,
                 .cache = {.reuse = Reuse::kRead}});
  int64_t n_added = 0, n_refused = 0, memory_early = 0;
  while (n_added < n || !engine.idle()) {
    for (int64_t burst = below(4) == 0 ? below(5) : 0; burst > 0 && n_added < n; --burst) {
      const int64_t number = below(n_kinds);
      const std::optional<RequestId> id = engine.add(request(number));
      n_added += id.has_value();
      n_refused += !id.has_value();
      if (id) running_[*id] = {number, {}, {}};
    }
    if (!running_.empty() && below(120) == 0) end_one(engine);
    for (const EngineEvent& event : engine.step()) take(event);
    if (HasFatalFailure()) return;
    if (n_answered_ + n_ended_ < n / 4) memory_early = random_.arena.bytes_reserved();
  }
  EXPECT_TRUE(running_.empty());
  EXPECT_EQ(n_answered_ + n_ended_, n);
  EXPECT_EQ(engine.pages().n_free(), engine.pages().n_pages());
  EXPECT_LE(random_.arena.bytes_reserved(), memory_early + memory_early / 10);
  // Or the run would not have been in the places where it could go wrong. How often it was depends on how
  // many tokens were drafted, which is decided by the clock.
  EXPECT_GT(n_refused, 0);
  EXPECT_GT(n_ended_, n / 30);
  EXPECT_GT(engine.counts().preemptions, 0);
  EXPECT_GT(n_cached_, 5 * n) << "tokens found in the cache";
  RecordProperty("preemptions", static_cast<int>(engine.counts().preemptions));
  RecordProperty("cached", static_cast<int>(n_cached_));
  RecordProperty("ended", static_cast<int>(n_ended_));
}

}  // namespace
}  // namespace hadal
