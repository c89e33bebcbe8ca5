#include "hadal/core/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

#include "hadal/core/error.h"

namespace hadal {
namespace {

TEST(ThreadPool, ParallelForCoversEveryIndexOnce) {
  for (const int n_threads : {1, 2, 3, 7}) {
    ThreadPool pool(n_threads);
    for (const int64_t n : {0, 1, 2, 6, 7, 100, 1001}) {
      for (const int64_t grain : {1, 3, 64}) {
        std::vector<std::atomic<int>> seen(static_cast<size_t>(n));
        pool.parallel_for(n, grain, [&](int64_t begin, int64_t end, int thread) {
          EXPECT_EQ(begin % grain, 0);
          EXPECT_TRUE(thread >= 0 && thread < n_threads);
          for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
        });
        for (const auto& count : seen) EXPECT_EQ(count, 1);
      }
    }
  }
}

TEST(ThreadPool, ParallelTasksRunsEachOnce) {
  ThreadPool pool(4);
  for (const int64_t n : {0, 1, 3, 500}) {
    std::vector<std::atomic<int>> seen(static_cast<size_t>(n));
    pool.parallel_tasks(n, [&](int64_t task, int) { ++seen[static_cast<size_t>(task)]; });
    for (const auto& count : seen) EXPECT_EQ(count, 1);
  }
}

TEST(ThreadPool, WorkReallySpreadsOverThreads) {
  // Each of two ranges waits for the other to have started: one thread alone would never end.
  ThreadPool pool(2);
  std::atomic<int> started{0};
  pool.parallel_for(2, 1, [&](int64_t, int64_t, int) {
    ++started;
    while (started < 2) std::this_thread::yield();
  });
  EXPECT_EQ(started, 2);
}

TEST(ThreadPool, NestedRegionsRunOnTheCallingThread) {
  ThreadPool pool(3);
  std::atomic<int64_t> sum{0};
  pool.parallel_for(6, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const std::thread::id outer = std::this_thread::get_id();
      pool.parallel_for(10, 1, [&](int64_t inner_begin, int64_t inner_end, int) {
        EXPECT_EQ(std::this_thread::get_id(), outer);
        sum += inner_end - inner_begin;
      });
      pool.parallel_tasks(5, [&](int64_t, int) {
        EXPECT_EQ(std::this_thread::get_id(), outer);
        ++sum;
      });
    }
  });
  EXPECT_EQ(sum, 6 * 15);
}

TEST(ThreadPool, TheFirstExceptionIsRethrownAndThePoolLivesOn) {
  for (const int n_threads : {1, 4}) {
    ThreadPool pool(n_threads);
    for (int round = 0; round < 20; ++round) {
      try {
        // Every range throws; the one that starts at 0 has the lowest index.
        pool.parallel_for(8, 1, [](int64_t begin, int64_t, int) {
          throw std::runtime_error(concat("range ", begin));
        });
        FAIL() << "nothing was thrown";
      } catch (const std::runtime_error& error) {
        EXPECT_STREQ(error.what(), "range 0");
      }
      EXPECT_THROW(pool.parallel_tasks(8,
                                       [](int64_t task, int) {
                                         if (task == 5) throw std::runtime_error("5");
                                       }),
                   std::runtime_error);
      std::atomic<int64_t> sum{0};
      pool.parallel_for(100, 1, [&](int64_t begin, int64_t end, int) { sum += end - begin; });
      EXPECT_EQ(sum, 100);
    }
  }
}

// Several threads share one pool: their regions take turns, and each sees its own work done.
TEST(ThreadPool, ServesSeveralCallers) {
  ThreadPool pool(3);
  std::vector<std::thread> callers;
  std::atomic<int> wrong{0};
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&pool, &wrong, caller] {
      for (int round = 0; round < 300; ++round) {
        const int64_t n = 1 + (caller * 7 + round) % 50;
        std::atomic<int64_t> sum{0};
        pool.parallel_for(n, 1, [&](int64_t begin, int64_t end, int) { sum += end - begin; });
        pool.parallel_tasks(n, [&](int64_t, int) { ++sum; });
        if (sum != 2 * n) ++wrong;
      }
    });
  }
  for (std::thread& each : callers) each.join();
  EXPECT_EQ(wrong, 0);
}

// A thread that is held up does not hold up the region's other parts: they are taken from it.
TEST(ThreadPool, PartsOfASlowThreadAreTakenByOthers) {
  ThreadPool pool(2);
  constexpr int64_t kTasks = 8;
  std::atomic<int64_t> done{0};
  std::atomic<int> held{-1};
  pool.parallel_tasks(kTasks, [&](int64_t, int thread) {
    int nobody = -1;
    if (held.compare_exchange_strong(nobody, thread)) {
      while (done < kTasks - 1) std::this_thread::yield();  // the others do all the rest
    }
    ++done;
  });
  EXPECT_EQ(done, kTasks);
}

// The caller alone can finish a region: nobody waits for a worker that does not come.
TEST(ThreadPool, ARegionEndsWhoeverComes) {
  ThreadPool pool(8);  // more than most machines have cores
  for (int round = 0; round < 200; ++round) {
    std::atomic<int64_t> sum{0};
    pool.parallel_for(16, 1, [&](int64_t begin, int64_t end, int) { sum += end - begin; });
    ASSERT_EQ(sum, 16);
  }
}

TEST(ThreadPool, TraceCountsRegionsAndPartsOfThreads) {
  ThreadPool pool(2);
  pool.parallel_for(100, 1, [](int64_t, int64_t, int) {});  // not traced
  pool.start_trace();
  for (int round = 0; round < 5; ++round) pool.parallel_for(100, 1, [](int64_t, int64_t, int) {});
  pool.parallel_tasks(
      3, [](int64_t, int) { std::this_thread::sleep_for(std::chrono::milliseconds(2)); });
  pool.parallel_for(10, 10, [](int64_t, int64_t, int) {});  // one range: no region
  const PoolTrace trace = pool.stop_trace();
  EXPECT_EQ(trace.regions, 6);
  EXPECT_EQ(trace.parts, 5 * 8 + 3);  // a hundred in steps of 13
  ASSERT_EQ(trace.busy.size(), 2U);
  EXPECT_GE(trace.busy[0] + trace.busy[1], 0.006);
  EXPECT_GE(trace.seconds, trace.region_seconds);
  ASSERT_EQ(trace.places.size(), 2U);
  const PoolTrace::Place& slow = trace.places[0];  // the longest first
  EXPECT_EQ(slow.regions, 1);
  EXPECT_EQ(slow.parts, 3);
  EXPECT_GE(slow.busy, 0.006);
  EXPECT_EQ(trace.places[1].regions, 5);
  EXPECT_EQ(trace.places[1].where.line + 1, slow.where.line);
  pool.parallel_for(100, 1, [](int64_t, int64_t, int) {});
  pool.start_trace();
  EXPECT_EQ(pool.stop_trace().regions, 0);
}

TEST(ThreadPool, WakesFromSleep) {
  ThreadPool pool(3);
  for (int round = 0; round < 3; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // workers sleep by now
    std::atomic<int64_t> sum{0};
    pool.parallel_for(30, 1, [&](int64_t begin, int64_t end, int) { sum += end - begin; });
    EXPECT_EQ(sum, 30);
  }
}

TEST(ThreadPool, ManyShortRegions) {
  ThreadPool pool(4);
  int64_t total = 0;
  for (int i = 0; i < 2000; ++i) {
    std::atomic<int64_t> sum{0};
    pool.parallel_for(8, 1, [&](int64_t begin, int64_t end, int) { sum += end - begin; });
    total += sum;
  }
  EXPECT_EQ(total, 16000);
}

}  // namespace
}  // namespace hadal
