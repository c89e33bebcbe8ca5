#include "hadal/kernels/no_cuda.h"

#include "hadal/core/error.h"

namespace hadal::cuda {

void unavailable(const char* op) {
  throw Unavailable(Complaint{.field = "device",
                              .problem = {"this build has no CUDA kernel for ", op},
                              .found = "cuda",
                              .expected = "cpu",
                              .advice = "use {device} cpu"});
}

}  // namespace hadal::cuda
