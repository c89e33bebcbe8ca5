// Several engines over one model at the same time, each with a pool and an arena of its own: weights
// are only read, so each answers as it does alone.
#include <gtest/gtest.h>

#include <map>
#include <thread>

#include "hadal/infer/engine.h"
#include "tests/support/random_model.h"

namespace hadal::test {
namespace {

using Answers = std::map<RequestId, std::vector<int32_t>>;

Answers answers(const RandomModel& random, int rank) {
  ThreadPool pool(rank + 1);
  Arena arena;
  Context ctx{pool, arena};
  Engine engine(ctx, random.model, {.context = 150, .capacity = 600, .chunk = 70});
  for (uint64_t i = 0; i < 3; ++i) {
    Request request;
    request.prompt = random.random_tokens(80 - 30 * static_cast<int64_t>(i), i);
    request.options.max_tokens = 20;
    request.options.draft_tokens = static_cast<int64_t>(i) % 2;
    request.options.sampling.temperature = 1.0;
    request.options.sampling.seed = 10 * static_cast<uint64_t>(rank) + i;
    engine.add(request);
  }
  Answers result;
  while (!engine.idle()) {
    for (const EngineEvent& event : engine.step()) {
      auto& tokens = result[event.id];
      tokens.insert(tokens.end(), event.tokens.begin(), event.tokens.end());
    }
  }
  return result;
}

TEST(ThreadRanks, EnginesOverOneModelAnswerAsAlone) {
  constexpr int kRanks = 3;
  RandomModel random(odd_config(), 3);
  random.model.ensure_rope(random.arena, 150);
  std::vector<Answers> alone, together(kRanks);
  for (int rank = 0; rank < kRanks; ++rank) alone.push_back(answers(random, rank));
  std::vector<std::thread> ranks;
  for (int rank = 0; rank < kRanks; ++rank) {
    ranks.emplace_back([&, rank] { together[static_cast<size_t>(rank)] = answers(random, rank); });
  }
  for (std::thread& each : ranks) each.join();
  EXPECT_EQ(together, alone);
  EXPECT_EQ(alone[0].size(), 3U);
  EXPECT_NE(alone[0], alone[1]);
}

}  // namespace
}  // namespace hadal::test
