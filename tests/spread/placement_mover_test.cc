// Experts move between ranks while requests run: answers are those of one engine that has each expert once,
// and no turn is spent on moving.
#include "hadal/spread/placement_mover.h"

#include <gmock/gmock.h>

#include <mutex>

#include "tests/spread/random_moves.h"
#include "tests/support/refusal.h"

namespace hadal::test {
namespace {

struct MovedRun {
  SpreadAnswers answers;
  int64_t n_turns = 0, n_moves = 0, n_moving = 0;
  PlacementMover::Figures figures;
};

MovedRun run_moved(const std::string& folder, const Numbers& numbers, uint64_t seed,
                   const PlacementOptions& options, const ExpertExchange& how = {}) {
  MovedRun run;
  std::mutex mutex;
  const auto n_ranks = static_cast<int>(numbers.size());
  run_spread(
      folder, n_ranks,
      [&](Communicator& comm, RankModel& mine, RankTurns& turns) {
        PlacementMover mover(comm, mine.model, options, mine.arena);
        RandomMoves moves(mover, seed, mine.model.config.router.n_routed_experts, n_ranks);
        turns.do_between(seed > 0 ? static_cast<TurnWork*>(&moves) : &mover);
        Engine engine(mine.ctx, mine.model, spread_engine(mine.model.config), turns);
        const SpreadAnswers own =
            answers_of(engine, mine.model.config, numbers[static_cast<size_t>(comm.rank())]);
        turns.leave(mine.ctx);
        turns.do_between(nullptr);
        const std::lock_guard lock(mutex);
        run.answers.insert(own.begin(), own.end());
        run.n_turns = turns.n_turns();
        run.n_moves = moves.n_moves;
        run.n_moving = moves.n_moving;
        run.figures = mover.figures();
      },
      how);
  return run;
}

TEST(PlacementMover, AnswersKeepTheirBitsWhileExpertsMove) {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    SCOPED_TRACE(concat("seed ", seed));
    Rng rng(seed, 31);
    const SaveDType dtypes[] = {SaveDType::kF32, SaveDType::kBF16, SaveDType::kFP8};
    const SavedModel saved(seed % 4 == 0 ? two_mtp_config() : odd_config(),
                           dtypes[rng.uniform_below(3)]);
    Numbers numbers(size_t{2} << rng.uniform_below(3));
    for (int number = 0; number < 8; ++number) {
      numbers[rng.uniform_below(numbers.size())].push_back(number);
    }
    PlacementOptions options;
    options.every_passes = 1 << 30;
    options.bytes_a_turn = rng.uniform_below(2) == 0 ? 1 : 1 << 30;
    ExpertExchange how;
    how.copies = rng.uniform_below(2) == 0 ? CopyChoice::kShares : CopyChoice::kProgram;
    const MovedRun moved = run_moved(saved.path(), numbers, seed, options, how);
    EXPECT_EQ(moved.answers, answers_alone(saved.path(), all_of(numbers)));
    EXPECT_GT(moved.n_moves, 3);
    EXPECT_GT(moved.n_moving, 10) << "turns while experts were on their way";
    EXPECT_GT(moved.figures.bytes_sent, 0);
    // Ranks do not wait for experts: as many turns as without moves.
    std::vector<int64_t> turns;
    run_spread(saved.path(), static_cast<int>(numbers.size()),
               [&](Communicator& comm, RankModel& mine, RankTurns& still) {
                 Engine engine(mine.ctx, mine.model, spread_engine(mine.model.config), still);
                 answers_of(engine, mine.model.config, numbers[static_cast<size_t>(comm.rank())]);
                 still.leave(mine.ctx);
                 if (comm.rank() == 0) turns.push_back(still.n_turns());
               });
    EXPECT_EQ(moved.n_turns, turns.front());
  }
}

// Ranks take a layer's slots when all have them, not before: a few experts a turn need more turns.
TEST(PlacementMover, SlotsAreTakenWhenAllExpertsHaveCome) {
  const SavedModel saved(odd_config());
  PlacementOptions few, all;
  few.every_passes = all.every_passes = 1 << 30;
  few.bytes_a_turn = 1;
  all.bytes_a_turn = 1 << 30;
  const Numbers numbers = {{1, 2}, {3}};
  EXPECT_LT(run_moved(saved.path(), numbers, 5, few).n_moves,
            run_moved(saved.path(), numbers, 5, all).n_moves);
}

// A model whose routers prefer two experts that are on one rank.
class SkewedModel {
 public:
  SkewedModel() {
    RandomModel random(odd_config(), 11);
    for (DecoderLayer& layer : random.model.layers) skew(layer);
    for (MtpBlock& module : random.model.mtp) skew(module.layer);
    save_folder(folder_.path(), random.model, {.dtype = SaveDType::kBF16});
  }
  const std::string& path() const { return folder_.path(); }

 private:
  static void skew(DecoderLayer& layer) {
    if (layer.moe() == nullptr) return;
    layer.moe()->route_bias.master.flat<float>()[0] += 1.0F;
    layer.moe()->route_bias.master.flat<float>()[1] += 1.0F;
  }
  TemporaryFolder folder_;
};

TEST(PlacementMover, ObservedLoadsMakeABetterPlacement) {
  const SkewedModel saved;
  const Numbers numbers = {{1, 2, 3}, {4, 5}, {6}, {7, 8, 9}};
  PlacementOptions options;
  options.n_slots = 12;
  options.every_passes = 12;
  const MovedRun moved = run_moved(saved.path(), numbers, 0, options);
  EXPECT_EQ(moved.answers, answers_alone(saved.path(), all_of(numbers)));
  EXPECT_GT(moved.figures.n_looks, 2);
  EXPECT_GE(moved.figures.n_layers_moved, 2);
  EXPECT_LT(moved.figures.balancedness_first, 0.6);
  EXPECT_GT(moved.figures.balancedness_last, 0.8);
}

// What is not worth it stays: experts do not wander about on an even load.
TEST(PlacementMover, NothingMovesForNothing) {
  const SavedModel saved(odd_config());
  PlacementOptions options;
  options.every_passes = 8;
  options.worth = 0.9;
  const MovedRun moved = run_moved(saved.path(), {{1, 2, 3}, {4, 5}}, 0, options);
  EXPECT_GT(moved.figures.n_looks, 2);
  EXPECT_EQ(moved.figures.n_layers_moved, 0);
}

TEST(PlacementMover, RefusesSlotsThatRanksCannotShare) {
  const SavedModel saved(odd_config());
  for (const int64_t n_slots : {9, 6}) {
    PlacementOptions options;
    options.n_slots = n_slots;
    expect_refused<ConfigError>(
        [&] {
          run_moved(saved.path(), {{}, {}}, 0, options);
        },
        concat("slots: cannot be shared out evenly, with one for every expert (found ", n_slots,
               " for 8 experts on 2 ranks, expected a multiple of 2, 8 or more)"));
  }
}

}  // namespace
}  // namespace hadal::test
