// Experts spread over processes: each holds what it computed against one rank with all tokens.
#include <cstdio>

#include "hadal/comm/mpi_ranks.h"
#include "tests/parallel/expert_ranks.h"

namespace hadal::test {
namespace {

void expect_part_of_one_rank(const ExpertCase& of, Communicator& comm) {
  const auto me = static_cast<size_t>(comm.rank());
  const int64_t begin = of.n_tokens(0, me), end = of.n_tokens(0, me + 1);
  ExpertRanks mine;
  mine.push_back(std::make_unique<ExpertRank>(of, experts_of_rank(8, comm.n_ranks(), comm.rank())));
  run_rank(of, *mine[0], comm);
  const auto one = run_one_rank(of);
  const auto part = [&](const Tensor& rows) { return elements(rows.mat().rows(begin, end)); };
  EXPECT_EQ(outputs(mine), part(one->walk->y));
  EXPECT_EQ(input_gradients(mine), part(one->walk->dx));
  expect_gradients_of_experts(mine, *one, Tolerance::exact(), "experts");
  barrier(comm, mine[0]->arena);  // messages may still be on their way
}

// MPI starts once a process.
TEST(ExpertsOverMpi, HaveTheBitsOfOneRank) {
  run_mpi_rank(60, [](Communicator& comm) {
    const int n = comm.n_ranks();
    for (const Precision precision : {Precision::kF32, Precision::kFp8}) {
      for (const bool hierarchical : {false, true}) {
        ExpertCase of{.tokens = {}, .precision = precision, .part = Part::kLayer};
        for (int rank = 0; rank < n; ++rank) {
          of.tokens.push_back(9 - 2 * rank);
          of.how.node_of.push_back(2 * rank / n);
        }
        of.how.hierarchical = hierarchical;
        expect_part_of_one_rank(of, comm);
        of.part = Part::kMoe;
        of.tokens.front() = 0;
        expect_part_of_one_rank(of, comm);
      }
    }
    if (comm.rank() == 0 && !HasFailure())
      std::printf("experts have the bits of one, %d ranks\n", n);
  });
}

}  // namespace
}  // namespace hadal::test
