#include "hadal/kernels/no_cuda.h"

#include "hadal/core/error.h"

namespace hadal::cuda {

void unavailable(const char* op) {
  throw Unavailable(concat("--device: this build has no CUDA kernel for ", op,
                           " (found cuda, expected cpu); use --device cpu"));
}

}  // namespace hadal::cuda
