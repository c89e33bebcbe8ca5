// Ranks that are threads: each has a pool, an arena and a model of its own, and computes at the same
// time as the others what it computes alone. Under the thread sanitizer this shows that nothing else is
// shared.
#include <gtest/gtest.h>

#include <barrier>
#include <thread>

#include "tests/support/trainee.h"

namespace hadal::test {
namespace {

constexpr int kRanks = 3, kSteps = 2;

struct Result {
  double loss = 0.0;
  std::vector<float> gradient;
  friend bool operator==(const Result&, const Result&) = default;
};

// Rows enough for the packed products, threads enough for regions with several parts.
Result run_rank(int rank, const ModelConfig& config) {
  Trainee trainee(config, static_cast<uint64_t>(rank) + 1, 2, 70, /*n_threads=*/rank + 1);
  Result result;
  for (int step = 0; step < kSteps; ++step) {
    result.loss += trainee.at_once(kTestWeights).loss.total(kTestWeights);
  }
  result.gradient = trainee.gradient();
  return result;
}

TEST(ThreadRanks, ComputeTogetherWhatTheyComputeAlone) {
  const ModelConfig config = two_mtp_config();
  std::vector<Result> alone, together(kRanks);
  for (int rank = 0; rank < kRanks; ++rank) alone.push_back(run_rank(rank, config));
  std::barrier start(kRanks);
  std::vector<std::thread> ranks;
  for (int rank = 0; rank < kRanks; ++rank) {
    ranks.emplace_back([&, rank] {
      start.arrive_and_wait();
      together[static_cast<size_t>(rank)] = run_rank(rank, config);
    });
  }
  for (std::thread& each : ranks) each.join();
  for (size_t rank = 0; rank < kRanks; ++rank) {
    EXPECT_TRUE(together[rank] == alone[rank]) << "rank " << rank;
    EXPECT_GT(alone[rank].loss, 0.0);
  }
  EXPECT_FALSE(alone[0] == alone[1]) << "ranks must differ, or mixing them up would not show";
}

}  // namespace
}  // namespace hadal::test
