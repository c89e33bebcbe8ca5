// kernels/no_cuda_build.cc: stands in for kernels/cuda/ in a build without CUDA: defines what the
// .cu files there define.
#include "hadal/core/error.h"
#include "hadal/kernels/cuda_devices.h"
#include "hadal/kernels/cuda_stream.h"
#include "hadal/kernels/elementwise.h"
#include "hadal/kernels/no_cuda_kernel.h"
#include "hadal/kernels/router.h"

namespace hadal::cuda {

constexpr const char* kNotHere = "not in this build (cmake --preset cuda)";

std::vector<DeviceInfo> devices() { throw Unavailable(kNotHere); }
std::unique_ptr<Stream> Stream::open() { throw Unavailable(kNotHere); }

// clang-format off
using Out2 = View<float, 2>;       using In1 = View<const float, 1>;  using In2 = View<const float, 2>;
using Chosen = View<int32_t, 2>;   using ChosenIn = View<const int32_t, 2>;
using Offsets = std::span<const int64_t>;
using Values = std::span<float>;   using ValuesIn = std::span<const float>;

// elementwise
void add(Stream&, Values, ValuesIn) { no_kernel("add"); }
void scale(Stream&, Values, float) { no_kernel("scale"); }
void fill(Stream&, Values, float) { no_kernel("fill"); }
void ema_update(Stream&, Values, ValuesIn, float) { no_kernel("ema_update"); }
double sum_of_squares(Stream&, ValuesIn) { no_kernel("sum_of_squares"); }
int64_t count_not_finite(Stream&, ValuesIn) { no_kernel("count_not_finite"); }

// router
void route_forward(Stream&, Chosen, Out2, Out2, In2, In1, const RouterConfig&) { no_kernel("router"); }
void route_backward(Stream&, Out2, In2, In2, In2, ChosenIn, const RouterConfig&) { no_kernel("router"); }
double sequence_balance_loss(Stream&, Out2, In2, ChosenIn, Offsets, float, float, BalanceCount, int64_t) { no_kernel("balance loss"); }

// clang-format on

}  // namespace hadal::cuda
