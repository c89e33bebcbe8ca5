// bench/cuda/event_times.h: how long work on a stream takes, by the card's own clock.
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>
#include <vector>

#include "hadal/kernels/cuda/check.h"

namespace hadal {

// The median of `rounds` rounds in seconds, behind `warm_up` others. round(i) gives its work to the stream;
// i counts all of them from 0.
template <class Round>
double median_seconds(cudaStream_t stream, int warm_up, int rounds, const Round& round) {
  cudaEvent_t begin{}, end{};
  cuda::check(cudaEventCreate(&begin), "event");
  cuda::check(cudaEventCreate(&end), "event");
  std::vector<float> times;
  for (int i = 0; i < warm_up + rounds; ++i) {
    cuda::check(cudaEventRecord(begin, stream), "event");
    round(i);
    cuda::check(cudaEventRecord(end, stream), "event");
    cuda::check(cudaEventSynchronize(end), "the measured work");
    float milliseconds = 0;
    cuda::check(cudaEventElapsedTime(&milliseconds, begin, end), "event");
    if (i >= warm_up) times.push_back(milliseconds);
  }
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  std::sort(times.begin(), times.end());
  return 1e-3 * double{times[times.size() / 2]};
}

}  // namespace hadal
