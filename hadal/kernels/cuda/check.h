// kernels/cuda/check.h: every call of the CUDA runtime and every launch is checked here.
#pragma once

#include <cuda_runtime_api.h>

#include "hadal/core/error.h"

namespace hadal::cuda {

// Throws Unavailable: "cuda: WHAT: out of memory".
inline void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  throw Unavailable(concat("cuda: ", what, ": ", cudaGetErrorString(error)));
}

// After a launch of a kernel: whether it could start. What fails while it runs is told by the next call
// that waits for it.
inline void launched(const char* what) { check(cudaGetLastError(), what); }

}  // namespace hadal::cuda
