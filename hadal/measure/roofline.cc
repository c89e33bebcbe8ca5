#include "hadal/measure/roofline.h"

#include <atomic>
#include <cmath>
#include <span>

#include "hadal/kernels/cpu/roof_probe.h"

namespace hadal {
namespace {

constexpr double kWindowSeconds = 0.003;

// Runs work(thread, k), which returns the amount it did, on every thread for `seconds`.
template <class Work>
double best_rate(ThreadPool& pool, double seconds, const Work& work) {
  const int n_threads = pool.n_threads();
  std::vector<std::vector<WorkSpan>> threads(static_cast<size_t>(n_threads));
  std::vector<double> starts(threads.size());
  std::atomic<int> ready{0};
  pool.parallel_for(n_threads, 1, [&](int64_t begin, int64_t, int) {
    const size_t thread = static_cast<size_t>(begin);
    std::vector<WorkSpan>& spans = threads[thread];
    spans.reserve(1 << 16);
    work(begin, int64_t{0});
    // Nobody starts the clock before everybody is warm.
    ready.fetch_add(1);
    while (ready.load() < n_threads) continue;
    starts[thread] = monotonic_seconds();
    double now = starts[thread];
    for (int64_t k = 1; now - starts[thread] < seconds; ++k) {
      const double amount = work(begin, k);
      const double after = monotonic_seconds();
      spans.push_back({now, after, amount});
      now = after;
    }
  });
  const double begin = *std::max_element(starts.begin(), starts.end());
  return best_window_rate(threads, begin, begin + seconds, kWindowSeconds);
}

}  // namespace

double best_window_rate(const std::vector<std::vector<WorkSpan>>& threads, double begin, double end,
                        double window) {
  const int64_t n_windows = std::max<int64_t>(1, static_cast<int64_t>((end - begin) / window));
  std::vector<double> work(static_cast<size_t>(n_windows), 0.0);
  for (const std::vector<WorkSpan>& spans : threads) {
    for (const WorkSpan& span : spans) {
      const double rate = span.work / (span.end - span.begin);
      int64_t w =
          std::max<int64_t>(0, static_cast<int64_t>(std::floor((span.begin - begin) / window)));
      for (; w < n_windows; ++w) {
        const double window_begin = begin + static_cast<double>(w) * window;
        const double overlap =
            std::min(span.end, window_begin + window) - std::max(span.begin, window_begin);
        if (overlap <= 0) break;
        work[static_cast<size_t>(w)] += rate * overlap;
      }
    }
  }
  return *std::max_element(work.begin(), work.end()) / window;
}

double fma_gflop_per_s(ThreadPool& pool, double seconds) {
  std::atomic<float> sink{0};
  return best_rate(pool, seconds,
                   [&](int64_t, int64_t) {
                     const cpu::FmaWork done = cpu::probe_fma(20000);
                     sink.store(done.residue, std::memory_order_relaxed);
                     return done.flops;
                   }) /
         1e9;
}

double dram_read_gb_per_s(ThreadPool& pool, double seconds) {
  constexpr int64_t kBytes = int64_t{256} << 20, kStep = int64_t{1} << 20;
  std::vector<uint64_t> memory(kBytes / sizeof(uint64_t), 0x3C3C3C3C3C3C3C3C);
  std::atomic<uint64_t> sink{0};
  const int64_t n_steps = kBytes / kStep / pool.n_threads();  // each thread walks its own part
  return best_rate(pool, seconds,
                   [&](int64_t thread, int64_t k) {
                     constexpr size_t kWords = kStep / sizeof(uint64_t);
                     const size_t step =
                         static_cast<size_t>(thread * n_steps + k % std::max<int64_t>(1, n_steps));
                     sink.store(cpu::probe_read(std::span(memory).subspan(step * kWords, kWords)),
                                std::memory_order_relaxed);
                     return static_cast<double>(kStep);
                   }) /
         1e9;
}

}  // namespace hadal
