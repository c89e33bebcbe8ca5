// kernels/no_cuda_build.cc: stands in for kernels/cuda/ in a build without CUDA: defines what the
// .cu files there define.
#include "hadal/core/error.h"
#include "hadal/kernels/elementwise.h"
#include "hadal/kernels/cuda_devices.h"
#include "hadal/kernels/cuda_stream.h"
#include "hadal/kernels/no_cuda_kernel.h"
#include "hadal/kernels/rmsnorm.h"
#include "hadal/kernels/embedding.h"
#include "hadal/kernels/permute.h"
#include "hadal/kernels/copy.h"

namespace hadal::cuda {

constexpr const char* kNotHere = "not in this build (cmake --preset cuda)";

std::vector<DeviceInfo> devices() { throw Unavailable(kNotHere); }
std::unique_ptr<Stream> Stream::open() { throw Unavailable(kNotHere); }

// clang-format off
using Out1 = View<float, 1>;       using Out2 = View<float, 2>;        using Out3 = View<float, 3>;
using In1 = View<const float, 1>;  using In2 = View<const float, 2>;
using Values = std::span<float>;   using ValuesIn = std::span<const float>;
using Ids = std::span<const int32_t>;

// elementwise
void add(Stream&, Values, ValuesIn) { no_kernel("add"); }
void scale(Stream&, Values, float) { no_kernel("scale"); }
void fill(Stream&, Values, float) { no_kernel("fill"); }
void ema_update(Stream&, Values, ValuesIn, float) { no_kernel("ema_update"); }
double sum_of_squares(Stream&, ValuesIn) { no_kernel("sum_of_squares"); }
int64_t count_not_finite(Stream&, ValuesIn) { no_kernel("count_not_finite"); }

// copy
void copy_rows(Stream&, Out2, In2) { no_kernel("copy_rows"); }
void copy_row_ranges(Stream&, Out2, In2, std::span<const RowRange>) { no_kernel("copy_row_ranges"); }
void add_row_ranges(Stream&, Out2, In2, std::span<const RowRange>) { no_kernel("add_row_ranges"); }

// permute
void gather_rows(Stream&, Out2, In2, Ids) { no_kernel("gather_rows"); }
void gather_rows_backward(Stream&, Out2, In2, Ids) { no_kernel("gather_rows"); }
void combine_rows(Stream&, Out2, In2, In2, Ids) { no_kernel("combine_rows"); }
void choices_to_rows(Stream&, Out1, In2, Ids) { no_kernel("choices_to_rows"); }
void rows_to_choices(Stream&, Out2, In1, Ids) { no_kernel("rows_to_choices"); }
void gate_backward(Stream&, Out1, Out2, In2, In1) { no_kernel("gate_backward"); }
void scale_rows(Stream&, Out2, In1) { no_kernel("scale_rows"); }

// embedding
void embedding_forward(Stream&, Out2, const WeightView&, Ids) { no_kernel("embedding"); }
void embedding_backward_weight(Stream&, Out2, In2, Ids) { no_kernel("embedding"); }

// rmsnorm
void rmsnorm_forward(Stream&, Out2, Out1, In2, In1, float) { no_kernel("rmsnorm"); }
void rmsnorm_backward_input(Stream&, Out2, In2, In2, In1, In1, float) { no_kernel("rmsnorm"); }
void rmsnorm_backward_weight(Stream&, Out1, In2, In2, In1) { no_kernel("rmsnorm"); }

// clang-format on

}  // namespace hadal::cuda
