// Engines that share one model's experts answer as one engine that has them all, bit for bit.
#include "hadal/spread/rank_turns.h"

#include <mutex>

#include "hadal/infer/cached_forward.h"
#include "tests/spread/spread_case.h"
#include "tests/support/compare.h"
#include "tests/support/refusal.h"

namespace hadal::test {
namespace {

SpreadAnswers answers_together(const std::string& folder, const Numbers& numbers,
                               const ExpertExchange& how = {}) {
  SpreadAnswers all;
  std::mutex mutex;
  run_spread(
      folder, static_cast<int>(numbers.size()),
      [&](Communicator& comm, RankModel& mine, RankTurns& turns) {
        Engine engine(mine.ctx, mine.model, spread_engine(mine.model.config), turns);
        const SpreadAnswers own =
            answers_of(engine, mine.model.config, numbers[static_cast<size_t>(comm.rank())]);
        const std::lock_guard lock(mutex);
        all.insert(own.begin(), own.end());
      },
      how);
  return all;
}

void expect_as_alone(const std::string& folder, const Numbers& numbers,
                     const ExpertExchange& how = {}) {
  const std::vector<int> all = all_of(numbers);
  const SpreadAnswers together = answers_together(folder, numbers, how);
  const SpreadAnswers alone = answers_alone(folder, all);
  ASSERT_EQ(together.size(), all.size());
  for (const int number : all) {
    EXPECT_EQ(together.at(number).tokens, alone.at(number).tokens) << number;
    EXPECT_EQ(together.at(number).logprobs, alone.at(number).logprobs) << number;
    EXPECT_EQ(together.at(number).experts, alone.at(number).experts) << number;
    EXPECT_EQ(together.at(number).drafted, alone.at(number).drafted) << number;
    EXPECT_EQ(together.at(number).accepted, alone.at(number).accepted) << number;
  }
}

TEST(RankTurns, EveryRankAnswersAsOneEngineAlone) {
  const SavedModel saved(odd_config());
  expect_as_alone(saved.path(), {{0, 1, 2, 3}, {4, 5, 6, 7}});
  expect_as_alone(saved.path(), {{0, 1}, {2}, {3, 4, 5}, {6, 7}});
}

TEST(RankTurns, RanksWithoutRequestsTakePartInAllPasses) {
  const SavedModel saved(odd_config());
  expect_as_alone(saved.path(), {{0, 1, 2, 3, 4, 5}, {}});
  expect_as_alone(saved.path(), {{}, {5}, {}, {1, 2, 3}});
}

TEST(RankTurns, WithSeveralMtpModulesOrNone) {
  const SavedModel two(two_mtp_config()), none(softmax_config());
  expect_as_alone(two.path(), {{1, 2, 3}, {}, {5, 6, 7, 11}, {10}});
  expect_as_alone(none.path(), {{1, 2, 3}, {4}});
}

TEST(RankTurns, InEveryFormOfWeights) {
  for (const SaveDType dtype : {SaveDType::kF32, SaveDType::kFP8}) {
    const SavedModel saved(odd_config(), dtype);
    expect_as_alone(saved.path(), {{1, 2}, {3}});
  }
}

TEST(RankTurns, ByWayOfNodes) {
  const SavedModel saved(odd_config());
  ExpertExchange nodes;
  nodes.node_of = {0, 0, 1, 1};
  nodes.hierarchical = true;
  expect_as_alone(saved.path(), {{1, 2}, {3}, {}, {5}}, nodes);
}

// What every pass makes of 5 rows, one after another: the main model's, then each module's.
std::vector<std::vector<float>> passes_over(RankModel& m, PassTurns& turns) {
  LatentPages pages(m.model.config, 1, m.model.config.n_mtp, LatentForm::kF32);
  LatentSequence sequence(pages);
  sequence.reserve(8);
  PrefillAttention attention(m.model.rope, sequence);
  const std::vector<int32_t> tokens = {3, 14, 15, 9, 26};
  HiddenRows out = cached_forward(m.ctx, m.model, tokens, attention, turns);
  std::vector<std::vector<float>> results = {elements(std::as_const(out.normed).mat())};
  for (int64_t module = 0; module < m.model.config.n_mtp; ++module) {
    out = cached_mtp_forward(m.ctx, m.model, module, tokens, out.normed, attention, turns);
    results.push_back(elements(std::as_const(out.normed).mat()));
  }
  return results;
}

TEST(RankTurns, EveryPassHasTheBitsOfOneRank) {
  const SavedModel saved(two_mtp_config());
  Arena arena;
  RankModel whole(saved.path(), arena, 1, 0, 1);
  const auto alone = passes_over(whole, local_turns());
  ASSERT_EQ(alone.size(), 3U);
  run_spread(saved.path(), 4, [&](Communicator& comm, RankModel& mine, RankTurns& turns) {
    if (comm.rank() != 2) return;
    EXPECT_EQ(passes_over(mine, turns), alone);
  });
}

// A rank holds the experts of its range alone, and all of the rest.
TEST(RankTurns, ARankHoldsItsShareOfTheExperts) {
  const SavedModel saved(odd_config());
  Arena arena;
  RankModel whole(saved.path(), arena, 1, 0, 1), last(saved.path(), arena, 4, 3, 1);
  const std::vector<NamedParam> held = named_params(last.model);
  for (const NamedParam& param : named_params(whole.model)) {
    const bool found = std::ranges::any_of(
        held, [&](const NamedParam& other) { return other.name == param.name; });
    EXPECT_EQ(found, param.place.expert < 0 || param.place.expert >= 6) << param.name;
  }
  expect_refused<ConfigError>([&] { RankModel(saved.path(), arena, 3, 0, 1); },
                              "ranks: cannot share out the routed experts of a layer evenly (found "
                              "3 ranks for 8 experts, expected a divisor of 8)");
}

// One that has nothing yet waits beside the others, and begins when it has.
TEST(RankTurns, RequestsMayComeLater) {
  const SavedModel saved(odd_config());
  const SpreadAnswers alone = answers_alone(saved.path(), {1, 2, 3});
  std::vector<int64_t> turns_of(2);
  run_spread(saved.path(), 2, [&](Communicator& comm, RankModel& mine, RankTurns& turns) {
    const bool late = comm.rank() == 1;
    int64_t n_nobody = 0;
    for (int i = 0; late && i < 6; ++i) {
      n_nobody += turns.take_part(mine.ctx) ? 0 : 1;
    }
    if (!late) {  // so that at first nobody wants anything
      EXPECT_FALSE(turns.take_part(mine.ctx));
    }
    EXPECT_EQ(n_nobody, late ? 1 : 0);
    Engine engine(mine.ctx, mine.model, spread_engine(mine.model.config), turns);
    const std::vector<int> numbers = late ? std::vector{2, 3} : std::vector{1};
    for (const auto& [number, answer] : answers_of(engine, mine.model.config, numbers)) {
      EXPECT_EQ(answer, alone.at(number)) << number;
    }
    turns.leave(mine.ctx);
    turns_of[static_cast<size_t>(comm.rank())] = turns.n_turns();
    EXPECT_GT(turns.n_turns(), turns.n_passes());
  });
  EXPECT_EQ(turns_of[0], turns_of[1]);
}

// Drafts do not starve beside a rank that only writes: MTP passes go first, then both want the main model.
TEST(RankTurns, RanksMeetInTheMainModel) {
  const SavedModel saved(odd_config());
  run_spread(saved.path(), 2, [&](Communicator& comm, RankModel& mine, RankTurns& turns) {
    Request request = numbered_request(mine.model.config, 1);
    request.prompt.resize(1);
    request.options.max_tokens = 40;
    request.options.draft_tokens = comm.rank() == 0 ? 2 : 0;
    request.options.draft_from = DraftFrom::kMtp;
    Engine engine(mine.ctx, mine.model, spread_engine(mine.model.config), turns);
    engine.add(request);
    RequestCounts counts;
    while (!engine.idle()) {
      for (const EngineEvent& event : engine.step()) counts = event.counts;
    }
    if (comm.rank() == 0) {
      // Of 40 tokens, none of them waited for: as many turns as its own passes, and the end.
      EXPECT_GT(counts.mtp.drafted, 20);
      EXPECT_EQ(turns.n_turns(), turns.n_passes());
    } else {
      EXPECT_GT(turns.n_turns(), turns.n_passes());
    }
  });
}

// A rank that fails ends the others with its reason.
TEST(RankTurns, AFailureEndsAll) {
  const SavedModel saved(odd_config());
  const auto fails = [&] {
    run_spread(saved.path(), 2, [&](Communicator& comm, RankModel& mine, RankTurns& turns) {
      Engine engine(mine.ctx, mine.model, spread_engine(mine.model.config), turns);
      engine.add(numbered_request(mine.model.config, 1));
      for (int i = 0; i < 3; ++i) engine.step();
      if (comm.rank() == 1) throw IoError("disk: gone");
      while (!engine.idle()) engine.step();
    });
  };
  expect_refused<IoError>(fails, "disk: gone");
}

}  // namespace
}  // namespace hadal::test
