// Many requests through one engine: each gets the tokens that it gets alone, whoever runs beside it,
// and its pages come back.
#include "hadal/infer/engine.h"

#include <map>

#include "gtest/gtest.h"
#include "hadal/core/error.h"
#include "hadal/infer/session.h"
#include "tests/support/random_model.h"
#include "tests/support/refusal.h"

namespace hadal {
namespace {

using test::odd_config;
using test::RandomModel;

class EngineTest : public testing::Test {
 protected:
  // Request number i: greedy, sampled, or sampled with penalties; with 0 to 2 drafts.
  Request request(int64_t i) const {
    Request result;
    result.prompt = random_.random_tokens(3 + 5 * i, static_cast<uint64_t>(i));
    result.options.max_tokens = 40 - 3 * i;
    result.options.draft_tokens = i % 3;
    result.options.sampling.seed = static_cast<uint64_t>(100 + i);
    if (i % 4 != 0) result.options.sampling.temperature = 1.0;
    if (i % 4 == 3) result.options.sampling.frequency_penalty = 0.5;
    if (i % 4 == 2) result.options.sampling.top_p = 0.8;
    if (i % 5 == 4) result.options.stop_tokens = {7, 8, 9};
    return result;
  }
  // A session that always has caches for the MTP modules, as the engine has.
  GenerateResult alone(const Request& request) {
    GenerationSession session(random_.ctx, random_.model, 300, true);
    return session.generate(request.prompt, request.options);
  }
  void take_step(Engine& engine) {
    for (const EngineEvent& event : engine.step()) {
      EXPECT_FALSE(finished_.contains(event.id)) << "an event after the end";
      auto& tokens = tokens_[event.id];
      tokens.insert(tokens.end(), event.tokens.begin(), event.tokens.end());
      if (event.finished) finished_[event.id] = *event.finished;
      counts_[event.id] = event.counts;
    }
  }
  void run(Engine& engine) {
    while (!engine.idle()) take_step(engine);
  }
  void expect_all_pages_back(const Engine& engine) {
    EXPECT_EQ(engine.pages().n_free(), engine.pages().n_pages());
  }
  void expect_as_alone(RequestId id, const Request& request) {
    const GenerateResult want = alone(request);
    EXPECT_EQ(tokens_[id], want.tokens) << "request " << id;
    EXPECT_EQ(finished_.at(id) == FinishReason::kStop ? "stop" : "length", want.finish_reason);
    EXPECT_EQ(counts_[id].accepted(), want.accepted());
    EXPECT_EQ(counts_[id].decode_steps, want.decode_steps);
  }

  RandomModel random_{odd_config(), 3};
  std::map<RequestId, std::vector<int32_t>> tokens_;
  std::map<RequestId, FinishReason> finished_;
  std::map<RequestId, RequestCounts> counts_;
};

TEST(UsualChunk, HoldsTheActivationsOfWideModelsToAHundredMegabytes) {
  EXPECT_EQ(usual_chunk(find_preset("deepseek-v3").config), 112);
  EXPECT_EQ(usual_chunk(find_preset("nano").config), 512);
}

TEST_F(EngineTest, ARequestGetsTheTokensThatItGetsAlone) {
  for (const int64_t n : {1, 2, 5, 9}) {
    tokens_.clear();  // another engine, which counts its requests from 1 again
    finished_.clear();
    Engine engine(random_.ctx, random_.model, {.context = 200, .capacity = 2000, .chunk = 16});
    std::vector<RequestId> ids;
    for (int64_t i = 0; i < n; ++i) {  // one every third step, while the others run
      ids.push_back(engine.add(request(i)).value());
      for (int step = 0; step < 3; ++step) take_step(engine);
    }
    run(engine);
    // The session reads prompts in chunks of 512: the chunks do not matter here, all are short.
    for (int64_t i = 0; i < n; ++i) expect_as_alone(ids[static_cast<size_t>(i)], request(i));
    expect_all_pages_back(engine);
  }
}

// Ninety rows in a pass: another kernel multiplies them than a request's own few.
TEST_F(EngineTest, ThirtyRequestsWithDraftsGetTheTokensThatTheyGetAlone) {
  Engine engine(random_.ctx, random_.model,
                {.context = 64, .capacity = 30 * 64, .max_running = 30, .chunk = 64});
  const auto short_request = [&](int64_t i) {
    Request result = request(i % 8);
    result.prompt.resize(static_cast<size_t>(3 + i % 5), 7);
    result.options.max_tokens = 12;
    result.options.draft_tokens = 2;
    result.options.sampling.seed = static_cast<uint64_t>(i);
    return result;
  };
  std::vector<RequestId> ids;
  for (int64_t i = 0; i < 30; ++i) ids.push_back(engine.add(short_request(i)).value());
  run(engine);
  for (int64_t i = 0; i < 30; ++i) expect_as_alone(ids[static_cast<size_t>(i)], short_request(i));
}

// Up to 128 rows in a pass, and prompts of several pages that lie where shorter requests were before.
TEST_F(EngineTest, PagesThatLieApartChangeNothing) {
  Engine engine(random_.ctx, random_.model, {.context = 300, .capacity = 2600});
  std::map<RequestId, Request> requests;
  for (int64_t i = 0; i < 24; ++i) {
    Request each = request(i % 9);
    if (i % 3 == 2) each.prompt = random_.random_tokens(90 + 7 * i, static_cast<uint64_t>(i));
    each.options.draft_tokens = kMaxDraftTokens;
    requests[engine.add(each).value()] = each;
  }
  run(engine);
  for (const auto& [id, each] : requests) expect_as_alone(id, each);
  expect_all_pages_back(engine);
}

TEST_F(EngineTest, CancelledRequestsGiveTheirPagesBackAndChangeNobody) {
  Engine engine(random_.ctx, random_.model, {.context = 200, .capacity = 2000, .max_running = 6});
  std::vector<RequestId> ids;
  for (int64_t i = 0; i < 9; ++i) ids.push_back(engine.add(request(i)).value());
  const std::map<int, size_t> cancelled = {{1, 1}, {5, 4}, {7, 8}, {12, 2}};  // step, request
  for (int step = 0; !engine.idle(); ++step) {
    if (cancelled.contains(step)) {
      const int64_t free = engine.pages().n_free();
      engine.cancel(ids[cancelled.at(step)]);
      if (step == 5 || step == 12) {
        EXPECT_GT(engine.pages().n_free(), free);
      }
    }
    take_step(engine);
  }
  for (const size_t i : {0U, 3U, 5U, 6U, 7U}) {
    expect_as_alone(ids[i], request(static_cast<int64_t>(i)));
  }
  for (const size_t i : {1U, 4U, 8U, 2U}) EXPECT_FALSE(finished_.contains(ids[i]));
  expect_all_pages_back(engine);
  engine.cancel(12345);  // nobody
}

using Reads = std::vector<std::pair<RequestId, double>>;

TEST_F(EngineTest, AStepReadsABoundedNumberOfRowsBesideThoseThatWrite) {
  Engine engine(random_.ctx, random_.model,
                {.context = 200, .capacity = 800, .chunk = 16, .chunk_beside_decoding = 8});
  Request first{.prompt = random_.random_tokens(40, 1), .options = {.max_tokens = 5}};
  const RequestId a = engine.add(first).value(), b = engine.add(first).value();
  std::vector<Reads> steps;
  std::vector<size_t> n_tokens;
  while (!engine.idle()) {
    steps.emplace_back();
    n_tokens.push_back(0);
    for (const EngineEvent& event : engine.step()) {
      if (event.prompt_read) steps.back().emplace_back(event.id, *event.prompt_read);
      n_tokens.back() += event.tokens.size();
      tokens_[event.id].insert(tokens_[event.id].end(), event.tokens.begin(), event.tokens.end());
    }
  }
  // The last rows of the first prompt leave room for some of the second; from then on the first one
  // writes in every step.
  EXPECT_EQ(steps, (std::vector<Reads>{{{a, 0.4}},
                                       {{a, 0.8}},
                                       {{a, 1.0}, {b, 0.2}},
                                       {{b, 0.4}},
                                       {{b, 0.6}},
                                       {{b, 0.8}},
                                       {{b, 1.0}},
                                       {},
                                       {},
                                       {},
                                       {}}));
  EXPECT_EQ(n_tokens, (std::vector<size_t>{0, 0, 1, 1, 1, 1, 2, 1, 1, 1, 1}));
  EXPECT_EQ(tokens_[a], tokens_[b]) << "the same request twice";
  EXPECT_TRUE(engine.step().empty());
}

TEST_F(EngineTest, AFullQueueIsAnAnswerAndWhatNeverFitsAnError) {
  Engine engine(random_.ctx, random_.model,
                {.context = 64, .capacity = 100, .max_running = 1, .max_waiting = 2});
  Request fits = request(0);
  EXPECT_TRUE(engine.add(fits).has_value());
  EXPECT_TRUE(engine.add(fits).has_value());
  EXPECT_FALSE(engine.add(fits).has_value());
  engine.step();  // the first one starts
  EXPECT_TRUE(engine.add(fits).has_value());
  Request long_one = fits;
  long_one.options.max_tokens = 62;  // 3 + 62 > 64
  test::expect_refused<ConfigError>([&] { engine.add(long_one); },
                                    "max_tokens: the context is too short (found 3 tokens");
  run(engine);
  EXPECT_EQ(finished_.size(), 3U);
}

TEST_F(EngineTest, RequestsStartInOrderWhenThePoolHasPagesForTheirPrompts) {
  // Four pages: two requests run on a page each and may take another, so that one with a prompt of
  // two pages waits for the first to end, and the small one behind it does not overtake.
  Engine engine(random_.ctx, random_.model, {.context = 128, .capacity = 256});
  const auto sized = [&](int64_t n_prompt, int64_t n) {
    return Request{.prompt = random_.random_tokens(n_prompt, 1), .options = {.max_tokens = n}};
  };
  const RequestId a = engine.add(sized(5, 10)).value(), b = engine.add(sized(5, 20)).value();
  const RequestId large = engine.add(sized(70, 20)).value(), last = engine.add(sized(5, 2)).value();
  while (!finished_.contains(a)) {
    take_step(engine);
    EXPECT_FALSE(tokens_.contains(large));
    EXPECT_FALSE(tokens_.contains(last));
  }
  EXPECT_FALSE(finished_.contains(b));
  take_step(engine);
  EXPECT_TRUE(counts_.contains(large)) << "started beside the one that still runs";
  run(engine);
  EXPECT_EQ(tokens_[large].size(), 20U);
  EXPECT_EQ(tokens_[last].size(), 2U);
  EXPECT_EQ(engine.counts().preemptions, 0);
  expect_all_pages_back(engine);
}

TEST_F(EngineTest, AnEmptyPoolPutsTheYoungestBackAndItGoesOnWithTheSameTokens) {
  // Five pages for four requests that come to need two each, so that the pool runs out while they
  // write; with all kinds of sampling and drafts.
  std::vector<int64_t> recomputed;
  for (const auto& [n_mtp, reuse] :
       {std::pair<int64_t, Reuse>(1, Reuse::kAll), {2, Reuse::kAll}, {2, Reuse::kRead}}) {
    ModelConfig config = odd_config();
    config.n_mtp = n_mtp;
    RandomModel random(config, 3);
    const auto long_one = [&](int64_t i) {
      Request result = request(i);
      result.prompt = random.random_tokens(40 + 3 * i, static_cast<uint64_t>(i));
      result.options.max_tokens = 70;
      result.options.stop_tokens.clear();
      return result;
    };
    Engine engine(random.ctx, random.model,
                  {.context = 128, .capacity = 5 * 64, .chunk = 16, .cache = {.reuse = reuse}});
    std::vector<RequestId> ids;
    tokens_.clear();
    for (int64_t i = 0; i < 6; ++i) ids.push_back(engine.add(long_one(i)).value());
    while (!engine.idle()) {
      for (const EngineEvent& event : engine.step()) {
        auto& tokens = tokens_[event.id];
        tokens.insert(tokens.end(), event.tokens.begin(), event.tokens.end());
        counts_[event.id] = event.counts;
      }
    }
    EXPECT_GT(engine.counts().preemptions, 0);
    recomputed.push_back(engine.counts().recomputed_tokens);
    EXPECT_GT(recomputed.back(), 0);
    EXPECT_EQ(counts_[ids[0]].preemptions, 0) << "the oldest keeps its pages";
    int64_t preemptions = 0;
    for (size_t i = 0; i < ids.size(); ++i) {
      GenerationSession session(random.ctx, random.model, 200, true);
      const Request each = long_one(static_cast<int64_t>(i));
      EXPECT_EQ(tokens_[ids[i]], session.generate(each.prompt, each.options).tokens)
          << "request " << i << ", put back " << counts_[ids[i]].preemptions << " times";
      preemptions += counts_[ids[i]].preemptions;
    }
    EXPECT_EQ(preemptions, engine.counts().preemptions);
    expect_all_pages_back(engine);
  }
  EXPECT_LT(recomputed[1], recomputed[2]) << "rows of its own answer that are still there";
}

TEST_F(EngineTest, ATurnReadsOnlyWhatIsNewUntilPagesGetScarce) {
  Engine engine(random_.ctx, random_.model, {.context = 128, .capacity = 128});
  Request turn{.prompt = random_.random_tokens(20, 1),
               .options = {.max_tokens = 10, .draft_tokens = 1}};
  const RequestId first = engine.add(turn).value();
  run(engine);
  EXPECT_EQ(counts_[first].cached_tokens, 0);
  expect_all_pages_back(engine);

  turn.prompt.insert(turn.prompt.end(), tokens_[first].begin(), tokens_[first].end());
  const RequestId second = engine.add(turn).value();
  run(engine);
  EXPECT_GE(counts_[second].cached_tokens, 20);
  EXPECT_EQ(tokens_[second], alone(turn).tokens);

  // A request for both pages: what was kept gives way, and the turn is read afresh.
  Request large{.prompt = random_.random_tokens(60, 2), .options = {.max_tokens = 60}};
  const RequestId third = engine.add(large).value();
  run(engine);
  EXPECT_EQ(tokens_[third].size(), 60U);
  expect_all_pages_back(engine);
  const RequestId fourth = engine.add(turn).value();
  run(engine);
  EXPECT_EQ(counts_[fourth].cached_tokens, 0);
  EXPECT_EQ(tokens_[fourth], tokens_[second]);
  expect_all_pages_back(engine);
}

TEST_F(EngineTest, FinishedByTheCallerItLeavesWhatItCached) {
  Engine engine(random_.ctx, random_.model, {.context = 128, .capacity = 256});
  const RequestId a = engine.add(request(1)).value();
  for (int step = 0; step < 6; ++step) take_step(engine);
  engine.finish(a);
  EXPECT_TRUE(engine.idle());
  expect_all_pages_back(engine);
  Request longer = request(1);
  longer.prompt.insert(longer.prompt.end(), tokens_[a].begin(), tokens_[a].end());
  const RequestId b = engine.add(longer).value();
  run(engine);
  EXPECT_GT(counts_[b].cached_tokens, std::ssize(request(1).prompt));
}

// Requests that run at the same time share the pages of what they begin with, and each gets what it
// gets alone: with drafts, sampled, and where the texts part within a page.
TEST_F(EngineTest, EqualBeginningsAreReadOnceAndChangeNobody) {
  for (const int64_t n_shared : {63, 64, 65, 150}) {
    tokens_.clear();
    finished_.clear();
    Engine engine(random_.ctx, random_.model, {.context = 300, .capacity = 3000, .chunk = 40});
    std::map<RequestId, Request> requests;
    for (int64_t i = 0; i < 6; ++i) {
      Request each = request(i);
      std::vector<int32_t> prompt = random_.random_tokens(n_shared, 42);
      prompt.insert(prompt.end(), each.prompt.begin(), each.prompt.end());
      each.prompt = std::move(prompt);
      requests[engine.add(each).value()] = each;
      take_step(engine);
    }
    run(engine);
    int64_t n_cached = 0;
    for (const auto& [id, each] : requests) {
      expect_as_alone(id, each);
      n_cached += counts_[id].cached_tokens;
    }
    EXPECT_GE(n_cached, 2 * (n_shared - 2)) << "some start when the first prompt is read";
    expect_all_pages_back(engine);
  }
}

// Two that come together: by the time the second one reads, the first one has read the beginning.
TEST_F(EngineTest, ABurstReadsItsCommonBeginningOnce) {
  Engine engine(random_.ctx, random_.model,
                {.context = 200, .capacity = 1000, .chunk = 32, .chunk_beside_decoding = 32});
  Request first{.prompt = random_.random_tokens(100, 1), .options = {.max_tokens = 8}};
  Request second = first;
  second.prompt.back() = first.prompt.back() == 0 ? 1 : 0;
  const RequestId a = engine.add(first).value(), b = engine.add(second).value();
  run(engine);
  EXPECT_EQ(counts_[a].cached_tokens, 0);
  EXPECT_GE(counts_[b].cached_tokens, 64);
  expect_as_alone(a, first);
  expect_as_alone(b, second);
}

// Put back, a request finds its prompt in pages that another one read, and its own answer as part of
// that one's prompt. Rows that prefill made of an answer have other bits than those of decoding, so it
// makes its own again.
TEST_F(EngineTest, ItsAnswerIsNotReadInAnothersPrompt) {
  const EngineOptions options{
      .context = 192, .capacity = 4 * 64, .cache = {.reuse = Reuse::kRead}, .with_mtp = false};
  const Request request{.prompt = random_.random_tokens(20, 1),
                        .options = {.max_tokens = 80, .top_logprobs = 0}};
  std::map<RequestId, std::vector<double>> logprobs;
  const auto answers = [&](Engine& engine) {
    tokens_.clear();
    logprobs.clear();
    while (!engine.idle()) {
      for (const EngineEvent& event : engine.step()) {
        for (const int32_t token : event.tokens) tokens_[event.id].push_back(token);
        for (const Logprob& each : event.logprobs) logprobs[event.id].push_back(each.logprob);
        counts_[event.id] = event.counts;
      }
    }
  };
  Engine alone(random_.ctx, random_.model, options);
  const RequestId only = alone.add(request).value();
  answers(alone);
  const std::vector<int32_t> want = tokens_[only];
  const std::vector<double> want_logprobs = logprobs[only];

  // The other one's prompt goes on with 50 tokens of the answer; it takes the third of four pages.
  Request other{.prompt = request.prompt, .options = {.max_tokens = 80}};
  other.prompt.insert(other.prompt.end(), want.begin(), want.begin() + 50);
  Engine engine(random_.ctx, random_.model, options);
  engine.add(other);
  engine.step();
  const RequestId id = engine.add(request).value();
  answers(engine);
  EXPECT_EQ(counts_[id].preemptions, 1);
  EXPECT_EQ(counts_[id].cached_tokens, 19);
  EXPECT_EQ(tokens_[id], want);
  EXPECT_EQ(logprobs[id], want_logprobs) << "to the last bit";
}

TEST_F(EngineTest, NoDraftIsMadeForTheLastToken) {
  Engine engine(random_.ctx, random_.model, {.context = 128});
  const Request two{.prompt = random_.random_tokens(10, 1),
                    .options = {.max_tokens = 2, .draft_tokens = 2}};
  const RequestId id = engine.add(two).value();
  run(engine);
  EXPECT_EQ(tokens_[id].size(), 2U);
  EXPECT_EQ(counts_[id].mtp.drafted + counts_[id].ngram.drafted, 0);
}

// A pool without a page to spare: the page that two texts share in part is not copied but taken over.
TEST_F(EngineTest, AFullPoolReusesWithoutASparePage) {
  Engine engine(random_.ctx, random_.model, {.context = 128, .capacity = 128});
  Request first{.prompt = random_.random_tokens(100, 1), .options = {.max_tokens = 20}};
  engine.add(first);
  run(engine);
  Request second = first;
  second.prompt.resize(90);
  second.prompt.push_back(first.prompt[90] == 0 ? 1 : 0);
  second.options.max_tokens = 37;
  const RequestId id = engine.add(second).value();
  run(engine);
  EXPECT_GE(counts_[id].cached_tokens, 88);
  EXPECT_EQ(tokens_[id], alone(second).tokens);
  expect_all_pages_back(engine);
}

TEST(Engine, NeedsARotaryTableForItsContext) {
  ModelConfig config = odd_config();
  config.max_position_embeddings = 8192;
  RandomModel random(config);
  random.model.rope = RopeTable::make(random.arena, config.rope(), 100);
  test::expect_refused<ShapeError>([&] { Engine(random.ctx, random.model, {.context = 101}); },
                                   "model: a sequence of 101 tokens, but the rotary table has 100");
  test::expect_refused<ConfigError>([&] { Engine(random.ctx, random.model, {.context = 8193}); },
                                    "context: more tokens than the model has positions");
  random.model.ensure_rope(random.arena, 101);
  EXPECT_NO_THROW(Engine(random.ctx, random.model, {.context = 101}));
}

}  // namespace
}  // namespace hadal
