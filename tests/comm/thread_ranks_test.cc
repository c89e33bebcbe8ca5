#include "hadal/comm/thread_ranks.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "hadal/comm/collectives.h"
#include "hadal/core/clock.h"
#include "tests/comm/scenarios.h"
#include "tests/support/refusal.h"

namespace hadal::test {
namespace {

using ::testing::TestWithParam;

class ScenarioOfThreads : public TestWithParam<std::tuple<Scenario, int>> {};

TEST_P(ScenarioOfThreads, Holds) {
  const auto& [scenario, n_ranks] = GetParam();
  Arena arena;  // outlives the ranks: messages die on other ranks than they were made on
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    run_thread_ranks({.n_ranks = n_ranks, .patience_seconds = 60},
                     [&](Communicator& comm) { scenario.run(comm, arena, seed); });
  }
  EXPECT_EQ(arena.bytes_in_use(), 0);
}

std::string name_of(const testing::TestParamInfo<std::tuple<Scenario, int>>& instance) {
  return concat(std::get<0>(instance.param).name, "_", std::get<1>(instance.param));
}
const auto kAll = testing::ValuesIn(scenarios().begin(), scenarios().end());
INSTANTIATE_TEST_SUITE_P(All, ScenarioOfThreads,
                         testing::Combine(kAll, testing::Values(1, 2, 3, 8, 16)), name_of);

class ScenarioOverASlowLink : public TestWithParam<std::tuple<Scenario, int>> {};

TEST_P(ScenarioOverASlowLink, Holds) {
  const auto& [scenario, n_ranks] = GetParam();
  Arena arena;
  const SlowLink link{.latency_seconds = 1e-4, .bytes_per_second = 2e9};
  run_thread_ranks({.n_ranks = n_ranks, .patience_seconds = 60, .link = link},
                   [&](Communicator& comm) { scenario.run(comm, arena, 1); });
}

INSTANTIATE_TEST_SUITE_P(All, ScenarioOverASlowLink, testing::Combine(kAll, testing::Values(2, 3)),
                         name_of);

const MessageForm kFourColumns{DType::kF32, {-1, 4}};

TEST(ThreadRanks, AMessageChangesHandsAndIsNotCopied) {
  Arena arena;
  std::atomic<const void*> sent = nullptr;
  run_thread_ranks({.n_ranks = 2, .patience_seconds = 20}, [&](Communicator& comm) {
    if (comm.rank() == 0) {
      Tensor rows = Tensor::zeros(arena, DType::kF32, {2, 4});
      sent = rows.raw();
      comm.send(1, 0, std::move(rows));
    } else {
      const Tensor rows = comm.receive(0, 0, kFourColumns, arena).wait();
      EXPECT_EQ(rows.raw(), sent.load());
    }
  });
}

// What rank 1 hears of a message of rank 0.
void send_unexpected(DType dtype, const Shape& shape) {
  Arena arena;
  run_thread_ranks({.n_ranks = 2, .patience_seconds = 60}, [&](Communicator& comm) {
    if (comm.rank() == 0) {
      comm.send(1, 77, Tensor::zeros(arena, dtype, shape));
    } else {
      comm.receive(0, 77, kFourColumns, arena).wait();
    }
  });
}

TEST(ThreadRanks, AMessageOfAnotherFormIsRefused) {
  expect_refused<CommError>(
      [] {
        send_unexpected(DType::kBF16, {2, 4});
      },
      "rank 1: a message of rank 0 with tag 77 is none that was expected "
      "(found BF16 [2,4], expected F32 [*,4])");
  expect_refused<CommError>([] { send_unexpected(DType::kF32, {2, 3}); }, "found F32 [2,3]");
  expect_refused<CommError>([] { send_unexpected(DType::kF32, {8}); }, "found F32 [8]");
  EXPECT_NO_THROW(send_unexpected(DType::kF32, {0, 4}));
}

TEST(ThreadRanks, AWaitThatNobodyServesSaysWhereAndForWhom) {
  const auto run = [] {
    Arena arena;
    run_thread_ranks({.n_ranks = 3, .patience_seconds = 0.2}, [&](Communicator& comm) {
      comm.at({.step = 12, .phase = "dispatch", .stage = comm.rank(), .micro_batch = 1});
      barrier(comm, arena);
      if (comm.rank() == 0) comm.receive(2, 5, kFourColumns, arena).wait();
    });
  };
  expect_refused<CommError>(
      run,
      "rank 0 (step 12, dispatch, stage 0, micro-batch 1): rank 2 (step 12, dispatch, stage 2, "
      "micro-batch 1) is silent; waited 0.2 s for its message with tag 5");
}

TEST(ThreadRanks, OneThatThrowsEndsTheOthersAndIsTheCause) {
  std::atomic<int> n_ended = 0;
  const auto run = [&] {
    Arena arena;
    run_thread_ranks({.n_ranks = 8, .patience_seconds = 20}, [&](Communicator& comm) {
      comm.at({.step = 3, .phase = "experts"});
      if (comm.rank() == 5) throw IoError("disk: full");
      try {
        comm.receive((comm.rank() + 1) % 8, 1, kFourColumns, arena).wait();
      } catch (const CommError& error) {
        EXPECT_STREQ(error.what(), "rank 5 (step 3, experts): disk: full");
        ++n_ended;
        throw;
      }
    });
  };
  expect_refused<IoError>(run, "disk: full");
  EXPECT_EQ(n_ended, 7);
}

TEST(ThreadRanks, OneThatFailsWithoutThrowingIsTheCauseToo) {
  const auto run = [] {
    Arena arena;
    run_thread_ranks({.n_ranks = 2}, [&](Communicator& comm) {
      if (comm.rank() == 1) return comm.fail("has seen a NaN");
      comm.receive(1, 1, kFourColumns, arena).wait();
    });
  };
  expect_refused<CommError>(run, "rank 1 (outside of steps): has seen a NaN");
}

TEST(ThreadRanks, ASlowLinkTakesItsTimeAndLeavesTheRankAlone) {
  constexpr double kLatency = 0.05, kBytesPerSecond = 64e4;  // 64 kB take 0.1 s
  Arena arena;
  const ThreadRanks ranks{.n_ranks = 2, .link = {kLatency, kBytesPerSecond}};
  run_thread_ranks(ranks, [&](Communicator& comm) {
    const double sending = monotonic_seconds();
    Receipt first = comm.receive(1 - comm.rank(), 0, {DType::kF32, {-1}}, arena);
    Receipt second = comm.receive(1 - comm.rank(), 1, {DType::kF32, {-1}}, arena);
    barrier(comm, arena);  // the other sends later than this: it waits for ours
    comm.send(1 - comm.rank(), 0, Tensor::zeros(arena, DType::kF32, {16000}));
    comm.send(1 - comm.rank(), 1, Tensor::zeros(arena, DType::kF32, {16000}));
    while (!first.arrived()) std::this_thread::yield();  // computing meanwhile
    EXPECT_GE(monotonic_seconds() - sending, 0.1 + kLatency);
    first.wait();
    second.wait();  // it queued behind the first
    EXPECT_GE(monotonic_seconds() - sending, 0.2 + kLatency);
  });
}

TEST(Groups, NeedsItsOwnRankAndNoneTwice) {
  const auto ask = [](const std::vector<int>& ranks) {
    run_thread_ranks({.n_ranks = 3}, [&](Communicator& comm) {
      if (comm.rank() == 1) comm.group(ranks);
    });
  };
  expect_refused<ShapeError>([&] { ask({0, 2}); }, "rank 1 is not in it");
  expect_refused<ShapeError>([&] { ask({1, 2, 1}); }, "a rank is in it twice");
  expect_refused<ShapeError>([&] { ask({1, 3}); }, "no such rank (found 3, expected 0 to 2)");
}

TEST(Collectives, RefuseWhatDoesNotFit) {
  Arena arena;
  const auto run = [&](auto body) {
    run_thread_ranks({.n_ranks = 2, .patience_seconds = 60}, body);
  };
  expect_refused<ShapeError>(
      [&] { run([&](Communicator& comm) { Exchange(comm, {}, kFourColumns, arena); }); },
      "a piece for every rank is needed (found 0, expected 2)");
  const std::vector<float> values(5);
  for (const std::vector<int64_t>& ends : std::vector<std::vector<int64_t>>{{5}, {2, 4}, {6, 5}}) {
    expect_refused<ShapeError>(
        [&] { run([&](Communicator& comm) { ReduceScatter(comm, values, ends, arena); }); },
        "parts do not cut the vector");
  }
  const auto uneven = [&](Communicator& comm) {
    std::vector<double> sums(comm.rank() == 0 ? 3 : 2);
    all_reduce_sum(comm, std::span<double>(sums), arena);
  };
  expect_refused<CommError>([&] { run(uneven); }, "has another number of values");
}

}  // namespace
}  // namespace hadal::test
