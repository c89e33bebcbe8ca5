#include "hadal/core/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "hadal/core/checked_math.h"

namespace hadal {
namespace {

// A worker spins this often before it sleeps: about 50 us, longer than the serial stretches between
// the regions of one training step, short enough to leave an idle machine idle.
constexpr int kSpins = 4000;

thread_local const void* current_region_owner = nullptr;

inline void cpu_relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

struct ThreadPool::Shared {
  std::atomic<uint64_t> generation{0};  // counts regions; a change wakes the workers
  std::atomic<int> running{0};          // workers still inside the current region
  std::atomic<bool> stop{false};
  const FunctionRef<void(int)>* body = nullptr;
  std::mutex error_mutex;
  std::exception_ptr error;
  int64_t error_task = -1;
  std::vector<std::thread> workers;

  void keep_error(int64_t task) {
    const std::lock_guard lock(error_mutex);
    if (!error || task < error_task) {
      error = std::current_exception();
      error_task = task;
    }
  }
};

ThreadPool::ThreadPool(int n_threads)
    : n_threads_(std::max(1, n_threads)), shared_(std::make_unique<Shared>()) {
  for (int thread = 1; thread < n_threads_; ++thread) {
    shared_->workers.emplace_back([this, thread, &shared = *shared_] {
      uint64_t seen = 0;
      for (;;) {
        int spins = 0;
        while (shared.generation.load(std::memory_order_acquire) == seen) {
          if (++spins < kSpins) {
            cpu_relax();
          } else {
            shared.generation.wait(seen, std::memory_order_acquire);
          }
        }
        ++seen;
        if (shared.stop.load(std::memory_order_acquire)) return;
        current_region_owner = this;
        (*shared.body)(thread);
        current_region_owner = nullptr;
        if (shared.running.fetch_sub(1, std::memory_order_acq_rel) == 1)
          shared.running.notify_one();
      }
    });
  }
}

ThreadPool::~ThreadPool() {
  shared_->stop.store(true, std::memory_order_release);
  shared_->generation.fetch_add(1, std::memory_order_acq_rel);
  shared_->generation.notify_all();
  for (std::thread& worker : shared_->workers) worker.join();
}

void ThreadPool::run(FunctionRef<void(int)> body) {
  Shared& shared = *shared_;
  shared.error = nullptr;
  shared.body = &body;
  shared.running.store(n_threads_ - 1, std::memory_order_relaxed);
  shared.generation.fetch_add(1, std::memory_order_acq_rel);
  shared.generation.notify_all();
  const void* outer = current_region_owner;
  current_region_owner = this;
  body(0);
  current_region_owner = outer;
  int spins = 0;
  for (int left = 0; (left = shared.running.load(std::memory_order_acquire)) != 0;) {
    if (++spins < kSpins) {
      cpu_relax();
    } else {
      shared.running.wait(left, std::memory_order_acquire);
    }
  }
  if (shared.error) std::rethrow_exception(std::exchange(shared.error, nullptr));
}

void ThreadPool::parallel_for(int64_t n, int64_t grain,
                              FunctionRef<void(int64_t, int64_t, int)> body) {
  if (n <= 0) return;
  if (n_threads_ == 1 || n <= grain || current_region_owner == this) {
    body(0, n, 0);
    return;
  }
  const int64_t chunk = round_up(ceil_div(n, n_threads_), std::max<int64_t>(grain, 1));
  run([&](int thread) {
    const int64_t begin = std::min(n, chunk * thread);
    const int64_t end = std::min(n, begin + chunk);
    if (begin >= end) return;
    try {
      body(begin, end, thread);
    } catch (...) {
      shared_->keep_error(begin);
    }
  });
}

void ThreadPool::parallel_tasks(int64_t n, FunctionRef<void(int64_t, int)> body) {
  if (n <= 0) return;
  if (n_threads_ == 1 || n == 1 || current_region_owner == this) {
    for (int64_t task = 0; task < n; ++task) body(task, 0);
    return;
  }
  std::atomic<int64_t> next{0};
  run([&](int thread) {
    for (int64_t task; (task = next.fetch_add(1, std::memory_order_relaxed)) < n;) {
      try {
        body(task, thread);
      } catch (...) {
        shared_->keep_error(task);
        next.store(n, std::memory_order_relaxed);
      }
    }
  });
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
