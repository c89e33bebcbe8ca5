// measure/roofline.h: what this machine can do at most, with the threads of one pool.
//
// Peaks over windows of 3 ms: other programs may take the cores now and then, and a window in which
// one thread ran while another stood still never counts as if both had run. Measure in the same run
// as the figure that is held against it; on shared machines yesterday's roof is another one.
#pragma once

#include <vector>

#include "hadal/core/thread_pool.h"
#include "hadal/measure/measurement.h"

namespace hadal {

// Highest rate of f32 multiply-adds, 2 operations each, over `seconds` of trying.
double fma_gflop_per_s(ThreadPool& pool, double seconds = 0.3);
// Highest rate of reading memory well beyond the caches (256 MiB per thread pool).
double dram_read_gb_per_s(ThreadPool& pool, double seconds = 0.3);

// One stretch of work on one thread.
struct WorkSpan {
  double begin = 0, end = 0;  // seconds
  double work = 0;
};
// The best total rate of any `window` seconds that lie between `begin` and `end`; a span's work is
// spread evenly over its time.
double best_window_rate(const std::vector<std::vector<WorkSpan>>& threads, double begin, double end,
                        double window);

}  // namespace hadal
