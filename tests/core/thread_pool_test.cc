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
