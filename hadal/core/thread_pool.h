// core/thread_pool.h: a fixed set of threads that run one parallel region after another.
//
// The caller is thread 0; workers spin briefly between regions, then sleep. A region's work is cut
// into more parts than there are threads; each thread has parts of its own, the same ones every
// time, so that it meets the memory it met before, and takes others' when it has finished. Nobody
// waits for a thread that has not come: a region ends when its parts are done, so a core that is
// slow or busy elsewhere holds up at most the part it is in.
//
// Thread-safe: regions of several callers run one after the other. Pools never nest: a region
// started from inside a region of the same pool runs on the calling thread alone. An exception in a
// part is rethrown by the call that started the region (the first by index).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "hadal/core/call_place.h"
#include "hadal/core/function_ref.h"

namespace hadal {

// Where the time of a pool went while it was traced.
struct PoolTrace {
  // The regions that one line of the program started.
  struct Place {
    CallPlace where;
    int64_t regions = 0, parts = 0;
    double seconds = 0;         // inside them, by the caller's clock
    double busy = 0;            // of all threads, in parts
    double seconds_before = 0;  // since the region before each, the caller alone
  };
  int64_t regions = 0;        // that workers were called to: each costs a start and a join
  int64_t parts = 0;          // of those regions
  double seconds = 0;         // traced
  double region_seconds = 0;  // of those inside regions, by the caller's clock
  std::vector<double> busy;   // [n_threads] seconds in parts
  std::vector<Place> places;  // the longest first
};

class ThreadPool {
 public:
  explicit ThreadPool(int n_threads);  // REQUIRES n_threads >= 1
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int n_threads() const { return n_threads_; }

  // Splits [0, n) into contiguous ranges that start at multiples of `grain`, the same split every
  // time. body(begin, end, thread); a thread may get several ranges. A result must depend on the
  // indices only, never on `thread` or on where ranges end (scratch space is fine).
  void parallel_for(int64_t n, int64_t grain, FunctionRef<void(int64_t, int64_t, int)> body,
                    CallPlace where = CallPlace::here());

  // Runs task 0..n-1, each exactly once: for tasks of uneven cost, the dearest first, for they begin
  // in about the order of their numbers. The same rule for results.
  void parallel_tasks(int64_t n, FunctionRef<void(int64_t task, int thread)> body,
                      CallPlace where = CallPlace::here());

  // Counts regions and clocks the threads' parts from here to stop_trace. Costs two clock readings
  // a part. REQUIRES that no region runs during either call.
  void start_trace();
  PoolTrace stop_trace();

 private:
  struct Shared;
  void run(int64_t n_parts, FunctionRef<void(int64_t part, int thread)> body,
           const CallPlace& where);
  int n_threads_;
  std::unique_ptr<Shared> shared_;
};

// The number of cores this process may use: CPU affinity, capped by OMP_NUM_THREADS when set.
int available_cores();

}  // namespace hadal
