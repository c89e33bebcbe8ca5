// kernels/device_memory.h: the memory of a GPU (kernels/cuda/memory.cu, or kernels/no_cuda_build.cc).
#pragma once

#include "hadal/tensor/memory.h"

namespace hadal::cuda {

// Of the current device. Throws Unavailable where this build has no CUDA, or the machine no GPU.
Memory& memory();

}  // namespace hadal::cuda
