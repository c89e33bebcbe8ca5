// kernels/no_cuda_kernel.h: what the stand-in of a CUDA kernel does.
#pragma once

#include "hadal/core/error.h"

namespace hadal::cuda {

[[noreturn]] inline void no_kernel(const char* op) {
  throw Unavailable(Complaint{.field = "device",
                              .problem = {"this build has no CUDA kernel for ", op},
                              .found = "cuda",
                              .expected = "cpu",
                              .advice = "use {device} cpu"});
}

}  // namespace hadal::cuda
