// One word counts the regions' openings and closings: odd, a region is open. A worker says that it is
// inside, and looks again; if the word still stands, the caller will see it there and wait, for the
// caller closes the region first and looks for workers then. So nobody waits for a worker that comes
// late. Every thread writes to lines of its own alone; what threads hand on to one another is what
// a region costs.
#include "hadal/core/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <exception>
#include <functional>
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

// Parts of a thread. More share the work out finer, and cost an atomic exchange each.
constexpr int64_t kPartsPerThread = 4;

thread_local const void* current_region_owner = nullptr;

inline void cpu_relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// How many parts of a lane are taken, and of which region: one that is not the present one's stands for
// none taken, so that nobody has to clear all lanes before a region.
class alignas(64) Lane {
 public:
  // The next of `n_parts` parts, or -1.
  int64_t take(uint32_t region, int64_t n_parts) {
    uint64_t now = word_.load(std::memory_order_relaxed);
    for (;;) {
      const int64_t taken = taken_in(now, region);
      if (taken >= n_parts) return -1;
      const uint64_t next = uint64_t{region} << 32 | static_cast<uint64_t>(taken + 1);
      if (word_.compare_exchange_weak(now, next, std::memory_order_relaxed)) return taken;
    }
  }
  void clear() { word_.store(0, std::memory_order_relaxed); }
  int64_t taken(uint32_t region) const {
    return taken_in(word_.load(std::memory_order_relaxed), region);
  }

 private:
  static int64_t taken_in(uint64_t word, uint32_t region) {
    return word >> 32 == region ? static_cast<int64_t>(word & 0xFFFFFFFF) : 0;
  }
  std::atomic<uint64_t> word_{0};
};

// The parts of a region: each lane has as many as the others or one more.
struct Parts {
  int64_t n_lanes = 1, each = 0, more = 0;  // the first `more` lanes have one more

  Parts(int64_t n_parts, int64_t n_threads)
      : n_lanes(std::min(n_parts, n_threads)), each(n_parts / n_lanes), more(n_parts % n_lanes) {}
  // The parts of all lanes in turn: parts begin in about the order of their numbers.
  int64_t part(int64_t lane, int64_t index) const { return lane + index * n_lanes; }
  int64_t count(int64_t lane) const { return each + (lane < more ? 1 : 0); }
};

// What a thread writes, on a cache line of its own.
struct alignas(64) Thread {
  std::atomic<bool> inside{false};
  int64_t parts = 0;  // while traced, and
  double busy = 0;    // seconds in them
};

}  // namespace

struct ThreadPool::Shared {
  explicit Shared(int n_threads)
      : lanes(static_cast<size_t>(n_threads)), threads(static_cast<size_t>(n_threads)) {}

  // Written by the caller, read by all.
  alignas(64) std::atomic<uint32_t> word{0};
  std::atomic<int64_t> n_lanes{0};  // the workers that are wanted; the region's own are in `parts`
  Parts parts{1, 1};
  const FunctionRef<void(int64_t, int)>* body = nullptr;
  bool traced = false;
  int spins = kSpins;
  std::atomic<bool> stop{false};

  alignas(64) std::mutex callers;  // one region at a time
  std::vector<Lane> lanes;
  std::vector<Thread> threads;
  std::vector<std::thread> workers;
  PoolTrace trace;
  double trace_start = 0, last_end = 0;
  std::mutex error_mutex;
  std::exception_ptr error;
  int64_t error_part = -1;

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
    Thread& self = threads[static_cast<size_t>(thread)];
    self.busy += monotonic_seconds() - start;
    ++self.parts;
  }

  double busy() const {
    double sum = 0;
    for (const Thread& each : threads) sum += each.busy;
    return sum;
  }

  void count(const CallPlace& where, int64_t n_parts, double start, double busy_seconds) {
    const auto same = [&](const PoolTrace::Place& p) {
      return p.where.line == where.line && p.where.file == where.file;
    };
    auto place = std::ranges::find_if(trace.places, same);
    if (place == trace.places.end()) place = trace.places.insert(place, PoolTrace::Place{where});
    const double end = monotonic_seconds();
    ++trace.regions;
    trace.region_seconds += end - start;
    ++place->regions;
    place->parts += n_parts;
    place->seconds += end - start;
    place->busy += busy_seconds;
    place->seconds_before += start - last_end;
    last_end = monotonic_seconds();
  }

  // The lane with most parts left, the next neighbour first, or -1. All are looked at before one is
  // chosen: the lines of many threads then come side by side.
  int64_t fullest_lane(uint32_t region, int64_t thread) const {
    int64_t most = 0, fullest = -1;
    for (int64_t k = 1; k < parts.n_lanes; ++k) {
      const int64_t lane = thread + k < parts.n_lanes ? thread + k : thread + k - parts.n_lanes;
      const int64_t left = parts.count(lane) - lanes[static_cast<size_t>(lane)].taken(region);
      fullest = left > most ? lane : fullest;
      most = std::max(left, most);
    }
    return fullest;
  }

  // Parts of the own lane, then of the others'.
  void work(uint32_t region, int thread) {
    for (int64_t lane = thread; lane >= 0; lane = fullest_lane(region, thread)) {
      Lane& from = lanes[static_cast<size_t>(lane)];
      do {
        const int64_t index = from.take(region, parts.count(lane));
        if (index < 0) break;
        one_part(parts.part(lane, index), thread);
      } while (lane == thread);
    }
  }

  void worker(const void* pool, int thread) {
    std::atomic<bool>& inside = threads[static_cast<size_t>(thread)].inside;
    uint32_t seen = 0;
    for (int spun = 0; !stop.load(std::memory_order_acquire);) {
      const uint32_t now = word.load(std::memory_order_acquire);
      if (now == seen || now % 2 == 0 || thread >= n_lanes.load(std::memory_order_relaxed)) {
        if (++spun < spins) {
          cpu_relax();
        } else {
          word.wait(now, std::memory_order_acquire);
        }
        continue;
      }
      spun = 0;
      seen = now;
      inside.store(true, std::memory_order_seq_cst);
      if (word.load(std::memory_order_seq_cst) == now) {
        current_region_owner = pool;
        work(now, thread);
        current_region_owner = nullptr;
      }
      inside.store(false, std::memory_order_release);
    }
  }

  bool somebody_inside() const {
    bool any = false;
    for (const Thread& each : threads) any |= each.inside.load(std::memory_order_seq_cst);
    return any;
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
  shared_->word.fetch_add(2, std::memory_order_acq_rel);  // wakes sleepers, and is no opening
  shared_->word.notify_all();
  for (std::thread& worker : shared_->workers) worker.join();
}

void ThreadPool::run(int64_t n_parts, FunctionRef<void(int64_t, int)> body,
                     const CallPlace& where) {
  Shared& shared = *shared_;
  const std::lock_guard one_caller(shared.callers);
  const double start = shared.traced ? monotonic_seconds() : 0.0;
  const double busy_before = shared.traced ? shared.busy() : 0.0;
  shared.error = nullptr;
  shared.body = &body;
  shared.parts = Parts(n_parts, n_threads_);
  shared.n_lanes.store(shared.parts.n_lanes, std::memory_order_relaxed);
  const uint32_t region = shared.word.load(std::memory_order_relaxed) + 1;
  if (region == 1) {  // the count begins, after 2^31 regions once more
    for (Lane& lane : shared.lanes) lane.clear();
  }
  shared.word.store(region, std::memory_order_release);
  shared.word.notify_all();

  const void* const outer = current_region_owner;
  current_region_owner = this;
  shared.work(region, 0);
  current_region_owner = outer;

  shared.word.store(region + 1, std::memory_order_seq_cst);
  for (int spun = 0; shared.somebody_inside();) {
    if (++spun < shared.spins) {
      cpu_relax();
    } else {
      std::this_thread::yield();  // somebody inside has lost its core
    }
  }
  if (shared.traced) shared.count(where, n_parts, start, shared.busy() - busy_before);
  if (shared.error) std::rethrow_exception(std::exchange(shared.error, nullptr));
}

void ThreadPool::parallel_for(int64_t n, int64_t grain,
                              FunctionRef<void(int64_t, int64_t, int)> body, CallPlace where) {
  if (n <= 0) return;
  grain = std::max<int64_t>(grain, 1);
  if (n_threads_ == 1 || n <= grain || current_region_owner == this) {
    body(0, n, 0);
    return;
  }
  const int64_t step = round_up(ceil_div(n, n_threads_ * kPartsPerThread), grain);
  const auto range = [&](int64_t part, int thread) {
    body(part * step, std::min(n, (part + 1) * step), thread);
  };
  run(ceil_div(n, step), range, where);
}

void ThreadPool::parallel_tasks(int64_t n, FunctionRef<void(int64_t, int)> body, CallPlace where) {
  if (n <= 0) return;
  if (n_threads_ == 1 || n == 1 || current_region_owner == this) {
    for (int64_t task = 0; task < n; ++task) body(task, 0);
    return;
  }
  run(n, body, where);
}

void ThreadPool::start_trace() {
  const std::lock_guard no_region(shared_->callers);
  shared_->trace = {};
  for (Thread& each : shared_->threads) {
    each.parts = 0;
    each.busy = 0;
  }
  shared_->traced = true;
  shared_->trace_start = shared_->last_end = monotonic_seconds();
}

PoolTrace ThreadPool::stop_trace() {
  const std::lock_guard no_region(shared_->callers);
  shared_->traced = false;
  PoolTrace trace = std::move(shared_->trace);
  trace.seconds = monotonic_seconds() - shared_->trace_start;
  for (const Thread& each : shared_->threads) {
    trace.busy.push_back(each.busy);
    trace.parts += each.parts;
  }
  const auto seconds = [](const PoolTrace::Place& p) { return p.seconds + p.seconds_before; };
  std::ranges::stable_sort(trace.places, std::greater(), seconds);
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
