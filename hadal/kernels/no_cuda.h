// kernels/no_cuda.h: what Device::kCuda means in a build that has no CUDA kernel for an op.
#pragma once

namespace hadal::cuda {

// Throws Unavailable: about `device`, naming the op.
[[noreturn]] void unavailable(const char* op);

}  // namespace hadal::cuda
