// What the tests of inference on ranks share: a checkpoint, the same model on ranks that have a part of its
// experts each, and requests of every kind.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "hadal/comm/thread_ranks.h"
#include "hadal/core/rng.h"
#include "hadal/infer/engine.h"
#include "hadal/parallel/expert_dispatcher.h"
#include "hadal/spread/expert_share.h"
#include "hadal/spread/rank_turns.h"
#include "tests/support/random_model.h"
#include "tests/support/temporary_folder.h"

namespace hadal::test {

inline constexpr int64_t kSpreadContext = 200;

class SavedModel {
 public:
  explicit SavedModel(const ModelConfig& config, SaveDType dtype = SaveDType::kBF16) {
    RandomModel random(config, 11);
    save_folder(folder_.path(), random.model, {.dtype = dtype});
  }
  const std::string& path() const { return folder_.path(); }

 private:
  TemporaryFolder folder_;
};

// A model as one rank has it; alone: as one engine has it.
struct RankModel {
  RankModel(const std::string& folder, Arena& memory, int n_ranks, int rank, int n_threads)
      : pool(n_threads), arena(memory) {
    LoadOptions options{.dtype = LoadAs::kAsStored};
    options.part = share_of_experts(load_config(folder), n_ranks, rank);
    model = load_model(ctx, folder, options);
    model.ensure_rope(arena, kSpreadContext);
  }

  ThreadPool pool;
  Arena& arena;
  Context ctx{pool, arena};
  DeepseekV3 model;
};

struct SpreadAnswer {
  std::vector<int32_t> tokens;
  std::vector<int32_t> experts;  // if it records
  std::vector<double> logprobs;
  int64_t drafted = 0, accepted = 0;  // by MTP: drafts are the same, too
  bool operator==(const SpreadAnswer&) const = default;
};
using SpreadAnswers = std::map<int, SpreadAnswer>;  // by the request's number
using Numbers = std::vector<std::vector<int>>;      // [rank] of its requests

inline std::vector<int> all_of(const Numbers& numbers) {
  std::vector<int> all;
  for (const std::vector<int>& mine : numbers) all.insert(all.end(), mine.begin(), mine.end());
  return all;
}

// The same number is the same request: greedy or sampled, with drafts of either source or without.
inline Request numbered_request(const ModelConfig& config, int number) {
  Rng rng(static_cast<uint64_t>(number), 5);
  const auto below = [&](uint64_t bound) { return static_cast<int64_t>(rng.uniform_below(bound)); };
  Request request;
  const int64_t n_prompt = 1 + below(90);
  for (int64_t i = 0; i < n_prompt; ++i) {
    request.prompt.push_back(static_cast<int32_t>(below(static_cast<uint64_t>(config.vocab_size))));
  }
  GenerateOptions& options = request.options;
  options.max_tokens = 4 + below(30);
  options.draft_tokens = config.n_mtp > 0 ? number % 4 : 0;
  options.draft_from = number % 3 == 0 ? DraftFrom::kAny : DraftFrom::kMtp;
  options.sampling.temperature = number % 2 == 0 ? 0.0 : 0.8;
  options.sampling.seed = static_cast<uint64_t>(number);
  options.record = number % 5 == 0;
  options.top_logprobs = 1;
  return request;
}

inline void take_events(SpreadAnswers& answers, const std::map<RequestId, int>& number_of,
                        const std::vector<EngineEvent>& events) {
  for (const EngineEvent& event : events) {
    SpreadAnswer& answer = answers[number_of.at(event.id)];
    answer.tokens.insert(answer.tokens.end(), event.tokens.begin(), event.tokens.end());
    for (const TokenLogprobs& each : event.logprobs) answer.logprobs.push_back(each.logprob);
    answer.drafted = event.counts.mtp.drafted;
    answer.accepted = event.counts.mtp.accepted;
    if (event.record) answer.experts = event.record->experts;
  }
}

inline SpreadAnswers answers_of(Engine& engine, const ModelConfig& config,
                                const std::vector<int>& numbers) {
  SpreadAnswers answers;
  std::map<RequestId, int> number_of;
  for (const int number : numbers) {
    number_of[engine.add(numbered_request(config, number)).value()] = number;
  }
  while (!engine.idle()) take_events(answers, number_of, engine.step());
  return answers;
}

inline EngineOptions spread_engine(const ModelConfig& config) {
  return {.context = kSpreadContext,
          .capacity = 4 * kSpreadContext,
          .chunk = 32,
          .chunk_beside_decoding = 16,
          .cache = {.reuse = Reuse::kRead},
          .with_mtp = config.n_mtp > 0};
}

inline SpreadAnswers answers_alone(const std::string& folder, const std::vector<int>& numbers) {
  Arena arena;
  RankModel all(folder, arena, 1, 0, 1);
  Engine engine(all.ctx, all.model, spread_engine(all.model.config));
  return answers_of(engine, all.model.config, numbers);
}

// body(communicator, its model, its turns) on every rank, which then leave.
using RankBody = std::function<void(Communicator& comm, RankModel& mine, RankTurns& turns)>;
inline void run_spread(const std::string& folder, int n_ranks, const RankBody& body,
                       const ExpertExchange& how = {}) {
  std::vector<std::unique_ptr<Arena>> arenas;  // a message may die on another rank
  for (int rank = 0; rank < n_ranks; ++rank) arenas.push_back(std::make_unique<Arena>());
  run_thread_ranks({.n_ranks = n_ranks, .patience_seconds = 60}, [&](Communicator& comm) {
    const int rank = comm.rank();
    RankModel mine(folder, *arenas[static_cast<size_t>(rank)], n_ranks, rank, 1 + rank % 2);
    ExpertDispatcher dispatcher(comm, how);
    RankTurns turns(comm, dispatcher, mine.model);
    body(comm, mine, turns);
    turns.leave(mine.ctx);
  });
}

}  // namespace hadal::test
