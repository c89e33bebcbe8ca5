// kernels/no_cuda_kernel.h: what the stand-in of a CUDA kernel does.
#pragma once

#include "hadal/core/error.h"

namespace hadal::cuda {

[[noreturn]] inline void no_kernel(const char* op) {
  throw Unavailable(concat("device: this build has no CUDA kernel for ", op,
                           " (found cuda, expected cpu); use the cpu"));
}

}  // namespace hadal::cuda
