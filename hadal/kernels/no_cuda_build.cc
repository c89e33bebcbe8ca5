// kernels/no_cuda_build.cc: stands in for kernels/cuda/ in a build without CUDA: defines what the
// .cu files there define.
#include "hadal/core/error.h"
#include "hadal/kernels/cuda_devices.h"
#include "hadal/kernels/cuda_stream.h"
#include "hadal/kernels/elementwise.h"
#include "hadal/kernels/gemm.h"
#include "hadal/kernels/gemm_fp8.h"
#include "hadal/kernels/no_cuda_kernel.h"

namespace hadal::cuda {

std::vector<DeviceInfo> devices() { throw Unavailable("not in this build (cmake --preset cuda)"); }
std::unique_ptr<Stream> Stream::open() {
  throw Unavailable(Complaint{.field = "device",
                              .problem = "this build computes on the CPU only",
                              .found = "cuda",
                              .expected = "cpu",
                              .advice = "leave {device} out, or build with cmake --preset cuda"});
}

// clang-format off
using Out2 = View<float, 2>;        using In2 = View<const float, 2>;
using CodesIn = View<const f8e4m3, 2>;
using Products = std::span<const Product>;
using Values = std::span<float>;   using ValuesIn = std::span<const float>;

// elementwise
void add(Stream&, Values, ValuesIn) { no_kernel("add"); }
void scale(Stream&, Values, float) { no_kernel("scale"); }
void fill(Stream&, Values, float) { no_kernel("fill"); }
void ema_update(Stream&, Values, ValuesIn, float) { no_kernel("ema_update"); }
double sum_of_squares(Stream&, ValuesIn) { no_kernel("sum_of_squares"); }
int64_t count_not_finite(Stream&, ValuesIn) { no_kernel("count_not_finite"); }

// gemm
void gemm_nt(Stream&, Products) { no_kernel("gemm_nt"); }
void gemm_nn(Stream&, Products) { no_kernel("gemm_nn"); }
void gemm_tn(Stream&, std::span<const WeightGradient>) { no_kernel("gemm_tn"); }

// gemm_fp8
void gemm_fp8_nt(Stream&, Out2, CodesIn, In2, CodesIn, In2) { no_kernel("gemm_fp8_nt"); }
void gemm_fp8_nn(Stream&, Out2, CodesIn, In2, CodesIn, In2) { no_kernel("gemm_fp8_nn"); }
void gemm_fp8_tn(Stream&, Out2, CodesIn, In2, CodesIn, In2) { no_kernel("gemm_fp8_tn"); }

// clang-format on

}  // namespace hadal::cuda
