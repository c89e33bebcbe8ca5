// One word says which region is open and how many workers are inside. A worker enters by adding
// itself to it, which fails when the region has closed; the caller closes it when no part is left
// and then waits for those inside. What the region shares (body, lanes) is touched by nobody else.
#include "hadal/core/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <thread>

#include "hadal/core/checked_math.h"
#include "hadal/core/clock.h"

namespace hadal {
namespace {

// A worker spins this often before it sleeps: about 50 us, longer than the serial stretches between
// the regions of one training step, short enough to leave an idle machine idle. With more threads
// than cores somebody else wants the core: it sleeps at once.
constexpr int kSpins = 4000;

// Parts of a thread. More share the work out finer, and cost an atomic addition each.
constexpr int64_t kPartsPerThread = 4;

constexpr uint64_t kOpen = 1;                        // the region takes workers
constexpr uint64_t kOneInside = 2;                   // workers inside count in steps of this ...
constexpr uint64_t kGeneration = uint64_t{1} << 16;  // ... below the count of regions

thread_local const void* current_region_owner = nullptr;

inline void cpu_relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// The parts of one thread, on a cache line of its own.
struct alignas(64) Lane {
  std::atomic<int64_t> next{0};
  int64_t end = 0;
};

struct alignas(64) ThreadTime {
  double busy = 0;
  int64_t parts = 0;
};

}  // namespace

struct ThreadPool::Shared {
  explicit Shared(int n_threads)
      : lanes(static_cast<size_t>(n_threads)), times(static_cast<size_t>(n_threads)) {}

  std::atomic<uint64_t> state{0};    // region count, workers inside, open
  std::atomic<uint32_t> regions{0};  // the same count, for sleepers to wait on
  std::atomic<bool> stop{false};
  int spins = kSpins;

  std::mutex callers;  // one region at a time
  const FunctionRef<void(int64_t, int)>* body = nullptr;
  int64_t n_lanes = 0;
  std::vector<Lane> lanes;
  std::mutex error_mutex;
  std::exception_ptr error;
  int64_t error_part = -1;

  bool traced = false;
  PoolTrace trace;
  double trace_start = 0;
  std::vector<ThreadTime> times;
  std::vector<std::thread> workers;

  // The other parts run all the same: which error is the first must not depend on who was fast.
  void keep_error(int64_t part) {
    const std::lock_guard lock(error_mutex);
    if (!error || part < error_part) {
      error = std::current_exception();
      error_part = part;
    }
  }

  void one_part(int64_t part, int thread) {
    const double start = traced ? monotonic_seconds() : 0.0;
    try {
      (*body)(part, thread);
    } catch (...) {
      keep_error(part);
    }
    if (!traced) return;
    ThreadTime& time = times[static_cast<size_t>(thread)];
    time.busy += monotonic_seconds() - start;
    ++time.parts;
  }

  // Parts of the own lane, then of the others', the next neighbour first.
  void work(int thread) {
    for (int64_t k = 0; k < n_lanes; ++k) {
      Lane& lane = lanes[static_cast<size_t>((thread + k) % n_lanes)];
      for (int64_t part; (part = lane.next.fetch_add(1, std::memory_order_relaxed)) < lane.end;) {
        one_part(part, thread);
      }
    }
  }

  // Joins the region if it is still open.
  bool enter() {
    uint64_t now = state.load(std::memory_order_acquire);
    while (now & kOpen) {
      if (state.compare_exchange_weak(now, now + kOneInside, std::memory_order_acq_rel))
        return true;
    }
    return false;
  }

  void worker(const void* pool, int thread) {
    uint32_t seen = 0;
    for (;;) {
      for (int spun = 0; regions.load(std::memory_order_acquire) == seen; ++spun) {
        if (spun < spins) {
          cpu_relax();
        } else {
          regions.wait(seen, std::memory_order_acquire);
        }
      }
      seen = regions.load(std::memory_order_acquire);
      if (stop.load(std::memory_order_acquire)) return;
      if (!enter()) continue;
      current_region_owner = pool;
      work(thread);
      current_region_owner = nullptr;
      state.fetch_sub(kOneInside, std::memory_order_acq_rel);
    }
  }
};

ThreadPool::ThreadPool(int n_threads)
    : n_threads_(std::max(1, n_threads)), shared_(std::make_unique<Shared>(n_threads_)) {
  if (n_threads_ > available_cores()) shared_->spins = 0;
  for (int thread = 1; thread < n_threads_; ++thread) {
    shared_->workers.emplace_back([this, thread] { shared_->worker(this, thread); });
  }
}

ThreadPool::~ThreadPool() {
  shared_->stop.store(true, std::memory_order_release);
  shared_->regions.fetch_add(1, std::memory_order_acq_rel);
  shared_->regions.notify_all();
  for (std::thread& worker : shared_->workers) worker.join();
}

void ThreadPool::run(int64_t n_parts, FunctionRef<void(int64_t, int)> body) {
  Shared& shared = *shared_;
  const std::lock_guard one_caller(shared.callers);
  const double start = shared.traced ? monotonic_seconds() : 0.0;
  shared.error = nullptr;
  shared.body = &body;
  shared.n_lanes = std::min<int64_t>(n_parts, n_threads_);
  for (int64_t lane = 0; lane < shared.n_lanes; ++lane) {
    Lane& each = shared.lanes[static_cast<size_t>(lane)];
    each.next.store(n_parts * lane / shared.n_lanes, std::memory_order_relaxed);
    each.end = n_parts * (lane + 1) / shared.n_lanes;
  }
  const uint64_t closed = shared.state.load(std::memory_order_relaxed);
  shared.state.store(closed + kGeneration + kOpen, std::memory_order_release);
  shared.regions.fetch_add(1, std::memory_order_acq_rel);
  shared.regions.notify_all();

  const void* const outer = current_region_owner;
  current_region_owner = this;
  shared.work(0);
  current_region_owner = outer;

  uint64_t now = shared.state.fetch_and(~kOpen, std::memory_order_acq_rel) & ~kOpen;
  for (int spun = 0; now % kGeneration != 0; now = shared.state.load(std::memory_order_acquire)) {
    if (++spun < shared.spins) {
      cpu_relax();
    } else {
      std::this_thread::yield();  // somebody inside has lost its core
    }
  }
  if (shared.traced) {
    ++shared.trace.regions;
    shared.trace.region_seconds += monotonic_seconds() - start;
  }
  if (shared.error) std::rethrow_exception(std::exchange(shared.error, nullptr));
}

void ThreadPool::parallel_for(int64_t n, int64_t grain,
                              FunctionRef<void(int64_t, int64_t, int)> body) {
  if (n <= 0) return;
  grain = std::max<int64_t>(grain, 1);
  if (n_threads_ == 1 || n <= grain || current_region_owner == this) {
    body(0, n, 0);
    return;
  }
  const int64_t step = round_up(ceil_div(n, n_threads_ * kPartsPerThread), grain);
  run(ceil_div(n, step),
      [&](int64_t part, int thread) { body(part * step, std::min(n, (part + 1) * step), thread); });
}

void ThreadPool::parallel_tasks(int64_t n, FunctionRef<void(int64_t, int)> body) {
  if (n <= 0) return;
  if (n_threads_ == 1 || n == 1 || current_region_owner == this) {
    for (int64_t task = 0; task < n; ++task) body(task, 0);
    return;
  }
  run(n, body);
}

void ThreadPool::start_trace() {
  const std::lock_guard no_region(shared_->callers);
  shared_->trace = {};
  for (ThreadTime& each : shared_->times) each = {};
  shared_->traced = true;
  shared_->trace_start = monotonic_seconds();
}

PoolTrace ThreadPool::stop_trace() {
  const std::lock_guard no_region(shared_->callers);
  shared_->traced = false;
  PoolTrace trace = std::move(shared_->trace);
  trace.seconds = monotonic_seconds() - shared_->trace_start;
  for (const ThreadTime& each : shared_->times) {
    trace.busy.push_back(each.busy);
    trace.parts += each.parts;
  }
  return trace;
}

int available_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  int cores = sched_getaffinity(0, sizeof(set), &set) == 0
                  ? CPU_COUNT(&set)
                  : static_cast<int>(std::thread::hardware_concurrency());
  if (const char* cap = std::getenv("OMP_NUM_THREADS")) {
    const int value = std::atoi(cap);
    if (value >= 1) cores = std::min(cores, value);
  }
  return std::max(1, cores);
}

}  // namespace hadal
