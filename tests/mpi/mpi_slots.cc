// Processes that share a model's experts, which move about between them while requests run: every process's
// answers are those of one engine alone.
#include <cstdio>

#include "hadal/comm/mpi_ranks.h"
#include "tests/spread/random_moves.h"

namespace hadal::test {
namespace {

// MPI starts once a process.
TEST(SlotsOverMpi, AnswersKeepTheirBitsWhileExpertsMove) {
  run_mpi_rank(60, [](Communicator& comm) {
    const SavedModel saved(odd_config(), SaveDType::kFP8);  // the same in every process
    const std::vector<int> numbers = {2 * comm.rank(), 2 * comm.rank() + 1};
    Arena arena;
    RankModel mine(saved.path(), arena, comm.n_ranks(), comm.rank(), 1);
    ExpertDispatcher dispatcher(comm);
    RankTurns turns(comm, dispatcher, mine.model);
    PlacementMover mover(comm, mine.model, {.every_passes = 1 << 30, .bytes_a_turn = 1}, arena);
    RandomMoves moves(mover, 7, mine.model.config.router.n_routed_experts, comm.n_ranks());
    turns.do_between(&moves);
    Engine engine(mine.ctx, mine.model, spread_engine(mine.model.config), turns);
    EXPECT_EQ(answers_of(engine, mine.model.config, numbers), answers_alone(saved.path(), numbers));
    turns.leave(mine.ctx);
    EXPECT_GT(moves.n_moves, 2);
    EXPECT_GT(moves.n_moving, 10);
    if (comm.rank() == 0 && !HasFailure()) {
      std::printf("answers keep their bits, %d ranks\n", comm.n_ranks());
    }
    barrier(comm, arena);  // messages may still be on their way
  });
}

}  // namespace
}  // namespace hadal::test
