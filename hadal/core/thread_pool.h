// core/thread_pool.h: a fixed set of threads that run one parallel region after another.
//
// The caller is thread 0; workers spin briefly between regions, then sleep. Pools never nest: a
// region started from inside a region of the same pool runs on the calling thread alone.
// An exception in a task is rethrown by the call that started the region (the first by task index).
#pragma once

#include <cstdint>
#include <memory>

#include "hadal/core/function_ref.h"

namespace hadal {

class ThreadPool {
 public:
  explicit ThreadPool(int n_threads);  // REQUIRES n_threads >= 1
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int n_threads() const { return n_threads_; }

  // Splits [0, n) into at most n_threads contiguous ranges, the same split every time; ranges start
  // at multiples of `grain`. body(begin, end, thread).
  void parallel_for(int64_t n, int64_t grain, FunctionRef<void(int64_t, int64_t, int)> body);

  // Runs task 0..n-1, each exactly once, handed out as threads become free: for tasks of uneven
  // cost. A result must depend on the task index only, never on `thread` (scratch space is fine).
  void parallel_tasks(int64_t n, FunctionRef<void(int64_t task, int thread)> body);

 private:
  struct Shared;
  void run(FunctionRef<void(int)> body);
  int n_threads_;
  std::unique_ptr<Shared> shared_;
};

// The number of cores this process may use: CPU affinity, capped by OMP_NUM_THREADS when set.
int available_cores();

}  // namespace hadal
