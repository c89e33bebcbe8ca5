// Replicas that train on shares of one batch, against one rank that trains on all of it.
#include <gtest/gtest.h>

#include <mutex>

#include "hadal/model/training_pass.h"
#include "tests/support/compare.h"
#include "tests/support/rank_world.h"

namespace hadal::test {
namespace {

constexpr int64_t kSequences = 12, kLength = 10;
constexpr LossWeights kReplicaWeights{.mtp = 0.3F, .balance = 0.05F};
// With this eps a weight moves by at most lr / eps = 0.1 of what its gradient differs.
const AdamwConfig kSmooth{.eps = 0.1};
constexpr double kReplicaRate = 1e-2, kReplicaClip = 0.5;

struct BatchOfTokens {
  std::vector<int32_t> tokens, targets;
  MicroBatch micro_batch(int64_t m) const {
    const auto begin = static_cast<size_t>(m * kLength), size = static_cast<size_t>(kLength);
    return {std::span(tokens).subspan(begin, size),
            std::span(targets).subspan(begin, size),
            1,
            kLength,
            kSequences * kLength,
            kSequences};
  }
};

BatchOfTokens some_batch() {
  const RandomModel random(shared_config(false));
  return {random.random_tokens(kSequences * kLength, 5),
          random.random_tokens(kSequences * kLength, 6)};
}

struct Trained {
  std::vector<double> losses, norms;              // losses: of every micro-batch, in its place
  std::vector<std::vector<std::string>> weights;  // [rank][parameter]
  std::vector<std::vector<float>> masters;        // of rank 0, where it has them
  int64_t n_clipped = 0;
};

RankLayout replicas(int32_t n) { return {"", ScheduleKind::k1F1B, 1, n, 1}; }

Trained train_replicas(int32_t n_replicas, Precision precision, int n_steps) {
  const RankWorld world(replicas(n_replicas));
  const BatchOfTokens batch = some_batch();
  Trained result;
  result.losses.resize(static_cast<size_t>(n_steps * kSequences));
  result.weights.resize(static_cast<size_t>(n_replicas));
  std::mutex mutex;
  run_ranks(world, precision, [&](Communicator& comm, HeldModel& held) {
    ShardedOptimizer optimizer(held.ctx, comm, world.holders, held.model, kSmooth, false);
    const int64_t share = kSequences / n_replicas, first = comm.rank() * share;
    for (int step = 0; step < n_steps; ++step) {
      for (int64_t m = first; m < first + share; ++m) {
        const TrainingResult one =
            forward_backward(held.ctx, held.model, batch.micro_batch(m), kReplicaWeights);
        result.losses[static_cast<size_t>(step * kSequences + m)] = one.loss.total(kReplicaWeights);
      }
      const GradientNorm norm = optimizer.sum_gradients(held.ctx);
      const float clip = clip_factor(norm.norm, kReplicaClip);
      optimizer.step(held.ctx, kReplicaRate, clip);
      if (comm.rank() != 0) continue;
      result.norms.push_back(norm.norm);
      result.n_clipped += clip < 1.0F ? 1 : 0;
    }
    const std::lock_guard lock(mutex);
    for (const NamedParam& each : held.params()) {
      result.weights[static_cast<size_t>(comm.rank())].push_back(working_bytes_of(*each.param));
      if (comm.rank() != 0 || !each.param->master.has_data()) continue;
      const auto values = std::as_const(each.param->master).flat<float>();
      result.masters.emplace_back(values.begin(), values.end());
    }
  });
  return result;
}

class DataParallelTest : public ::testing::TestWithParam<Precision> {};

TEST_P(DataParallelTest, ReplicasStayEqualAndRepeat) {
  for (const int32_t n : {2, 3, 4}) {
    const Trained once = train_replicas(n, GetParam(), 3), again = train_replicas(n, GetParam(), 3);
    for (const auto& weights : once.weights) EXPECT_TRUE(weights == once.weights[0]) << n;
    EXPECT_TRUE(again.weights == once.weights) << n;
    EXPECT_EQ(again.losses, once.losses);
    EXPECT_EQ(again.norms, once.norms);
  }
}

// The first step's losses are the bits of one rank, since the weights are. Then the gradients are sums of
// the same 120 tokens in another order.
TEST_P(DataParallelTest, FollowsOneRank) {
  const Trained one = train_replicas(1, GetParam(), 1);
  ASSERT_EQ(one.n_clipped, 1);
  for (const int32_t n : {2, 3, 4}) {
    const Trained many = train_replicas(n, GetParam(), 1);
    EXPECT_EQ(many.losses, one.losses) << n;
    EXPECT_NEAR(many.norms[0], one.norms[0], 1e-6 * one.norms[0]) << n;
    EXPECT_EQ(many.n_clipped, 1);
    if (GetParam() != Precision::kF32) continue;
    ASSERT_EQ(many.masters.size(), one.masters.size());
    for (size_t i = 0; i < one.masters.size(); ++i) {
      // A clipped gradient is at most kReplicaClip: it is off by (n + 8) eps of that, the weight by a tenth.
      Tolerance tolerance = Tolerance::for_sum(4);  // AdamW's own roundings
      tolerance.absolute = 0.1 * (kSequences * kLength + 8) * 1.2e-7 * kReplicaClip;
      expect_close(many.masters[i], one.masters[i], tolerance, concat(n, " replicas, ", i));
    }
  }
}

TEST_P(DataParallelTest, Learns) {
  const Trained many = train_replicas(3, GetParam(), 12);
  double first = 0.0, last = 0.0;
  for (size_t m = 0; m < static_cast<size_t>(kSequences); ++m) {
    first += many.losses[m];
    last += many.losses[many.losses.size() - 1 - m];
  }
  EXPECT_LT(last, 0.97 * first);
}

INSTANTIATE_TEST_SUITE_P(Precisions, DataParallelTest,
                         ::testing::Values(Precision::kF32, Precision::kBf16, Precision::kFp8),
                         [](const auto& one) {
                           return one.param == Precision::kF32    ? "F32"
                                  : one.param == Precision::kBf16 ? "Bf16"
                                                                  : "Fp8";
                         });

}  // namespace
}  // namespace hadal::test
