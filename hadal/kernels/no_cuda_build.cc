// kernels/no_cuda_build.cc: stands in for kernels/cuda/ in a build without CUDA: defines what the
// .cu files there define. Nobody comes as far as a kernel: there is no Stream to call it with.
#include "hadal/kernels/adamw_update.h"
#include "hadal/kernels/argmax.h"
#include "hadal/kernels/attention.h"
#include "hadal/kernels/convert.h"
#include "hadal/kernels/copy.h"
#include "hadal/kernels/cross_entropy.h"
#include "hadal/kernels/cuda_devices.h"
#include "hadal/kernels/cuda_stream.h"
#include "hadal/kernels/elementwise.h"
#include "hadal/kernels/embedding.h"
#include "hadal/kernels/gemm.h"
#include "hadal/kernels/gemm_fp8.h"
#include "hadal/kernels/kl_divergence.h"
#include "hadal/kernels/latent_attention.h"
#include "hadal/kernels/latent_rows.h"
#include "hadal/kernels/no_cuda_kernel.h"
#include "hadal/kernels/permute.h"
#include "hadal/kernels/quantize.h"
#include "hadal/kernels/quantize_e5m6.h"
#include "hadal/kernels/quantize_q8_q4.h"
#include "hadal/kernels/rmsnorm.h"
#include "hadal/kernels/rope.h"
#include "hadal/kernels/router.h"
#include "hadal/kernels/swiglu.h"

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
// The kinds of operands, short enough that an entry point stays on its line.
using Out1 = View<float, 1>;  using Out2 = View<float, 2>;  using Out3 = View<float, 3>;
using In1 = View<const float, 1>;  using In2 = View<const float, 2>;  using In3 = View<const float, 3>;
using Codes = View<f8e4m3, 2>;  using CodesIn = View<const f8e4m3, 2>;
using Chosen = View<int32_t, 2>;  using ChosenIn = View<const int32_t, 2>;
using Values = std::span<float>;  using ValuesIn = std::span<const float>;
using Ids = std::span<const int32_t>;
using Offsets = std::span<const int64_t>;
using Products = std::span<const Product>;

// adamw_update
void adamw_update(Stream&, Values, Values, Values, ValuesIn, const AdamwStep&) { no_kernel("adamw_update"); }
void adamw_update(Stream&, Values, std::span<bf16>, std::span<bf16>, ValuesIn, const AdamwStep&) { no_kernel("adamw_update"); }

// argmax
void argmax_rows(Stream&, std::span<int64_t>, In2) { no_kernel("argmax_rows"); }

// attention
void attention_forward(Stream&, Out3, Out2, In3, In3, In2, Offsets, float) { no_kernel("attention_forward"); }
void attention_backward(Stream&, Out3, Out3, Out2, In3, In3, In3, In2, In3, In2, Offsets, float) { no_kernel("attention_backward"); }
void attention_forward_part(Stream&, Out3, Out3, In3, In3, In2, KeyPart, float) { no_kernel("attention_forward_part"); }

// convert
void convert(Stream&, Tensor&, const Tensor&) { no_kernel("convert"); }

// copy
void copy_rows(Stream&, Out2, In2) { no_kernel("copy_rows"); }
void copy_row_ranges(Stream&, Out2, In2, std::span<const RowRange>) { no_kernel("copy_row_ranges"); }
void add_row_ranges(Stream&, Out2, In2, std::span<const RowRange>) { no_kernel("add_row_ranges"); }

// cross_entropy
void cross_entropy_forward(Stream&, Out1, In2, Ids) { no_kernel("cross_entropy"); }
void cross_entropy_forward_backward(Stream&, Out1, Out2, Ids, float) { no_kernel("cross_entropy"); }

// elementwise
void add(Stream&, Values, ValuesIn) { no_kernel("add"); }
void scale(Stream&, Values, float) { no_kernel("scale"); }
void fill(Stream&, Values, float) { no_kernel("fill"); }
void ema_update(Stream&, Values, ValuesIn, float) { no_kernel("ema_update"); }
double sum_of_squares(Stream&, ValuesIn) { no_kernel("sum_of_squares"); }
float largest_magnitude(Stream&, ValuesIn) { no_kernel("largest_magnitude"); }
int64_t count_not_finite(Stream&, ValuesIn) { no_kernel("count_not_finite"); }

// embedding
void embedding_forward(Stream&, Out2, const WeightView&, Ids) { no_kernel("embedding"); }
void embedding_backward_weight(Stream&, Out2, In2, Ids) { no_kernel("embedding"); }

// gemm
void gemm_nt(Stream&, Products) { no_kernel("gemm_nt"); }
void gemm_nn(Stream&, Products) { no_kernel("gemm_nn"); }
void gemm_tn(Stream&, std::span<const WeightGradient>) { no_kernel("gemm_tn"); }

// gemm_fp8
void gemm_fp8_nt(Stream&, Out2, CodesIn, In2, CodesIn, In2) { no_kernel("gemm_fp8_nt"); }
void gemm_fp8_nn(Stream&, Out2, CodesIn, In2, CodesIn, In2) { no_kernel("gemm_fp8_nn"); }
void gemm_fp8_tn(Stream&, Out2, CodesIn, In2, CodesIn, In2) { no_kernel("gemm_fp8_tn"); }

// kl_divergence
void kl_divergence(Stream&, Out1, In2, In2) { no_kernel("kl_divergence"); }

// latent_attention
void latent_attention(Stream&, Out3, In3, In3, const LatentPagesView&, std::span<const SequenceRows>, float) { no_kernel("latent_attention"); }

// latent_rows
void store_latent_rows(Stream&, const LatentRows&, In2) { no_kernel("store_latent_rows"); }
void load_latent_rows(Stream&, Out2, const LatentRows&) { no_kernel("load_latent_rows"); }

// permute
void gather_rows(Stream&, Out2, In2, Ids) { no_kernel("gather_rows"); }
void gather_rows_backward(Stream&, Out2, In2, Ids) { no_kernel("gather_rows"); }
void combine_rows(Stream&, Out2, In2, In2, Ids) { no_kernel("combine_rows"); }
void choices_to_rows(Stream&, Out1, In2, Ids) { no_kernel("choices_to_rows"); }
void rows_to_choices(Stream&, Out2, In1, Ids) { no_kernel("rows_to_choices"); }
void gate_backward(Stream&, Out1, Out2, In2, In1) { no_kernel("gate_backward"); }
void scale_rows(Stream&, Out2, In1) { no_kernel("scale_rows"); }

// quantize
void quantize(Stream&, Codes, Out2, In2, int64_t, int64_t, bool, bool) { no_kernel("quantize"); }
void dequantize(Stream&, Out2, const WeightView&) { no_kernel("dequantize"); }
void dequantize_columns(Stream&, Out2, CodesIn, In2) { no_kernel("dequantize_columns"); }

// quantize_e5m6
void quantize_e5m6(Stream&, View<uint8_t, 2>, Out2, In2) { no_kernel("quantize_e5m6"); }
void dequantize_e5m6(Stream&, Out2, View<const uint8_t, 2>, In2) { no_kernel("dequantize_e5m6"); }

// quantize_q8_q4
void quantize_q8(Stream&, View<int8_t, 2>, View<bf16, 2>, In2) { no_kernel("quantize_q8"); }
void quantize_q4(Stream&, View<uint8_t, 2>, View<bf16, 2>, In2) { no_kernel("quantize_q4"); }

// rmsnorm
void rmsnorm_forward(Stream&, Out2, Out1, In2, In1, float) { no_kernel("rmsnorm"); }
void rmsnorm_backward_input(Stream&, Out2, In2, In2, In1, In1, float) { no_kernel("rmsnorm"); }
void rmsnorm_backward_weight(Stream&, Out1, In2, In2, In1) { no_kernel("rmsnorm"); }
void rmsnorm_input(Stream&, Out2, In2, In1, In1) { no_kernel("rmsnorm"); }

// rope
void rope_turn(Stream&, Out3, In2, In2, Ids, int) { no_kernel("rope"); }

// router
void route_forward(Stream&, Chosen, Out2, Out2, In2, In1, const RouterConfig&) { no_kernel("router"); }
void route_backward(Stream&, Out2, In2, In2, In2, ChosenIn, const RouterConfig&) { no_kernel("router"); }
double sequence_balance_loss(Stream&, Out2, In2, ChosenIn, Offsets, float, float, BalanceCount, int64_t) { no_kernel("balance loss"); }

// swiglu
void swiglu_forward(Stream&, Out2, In2, In2, float) { no_kernel("swiglu"); }
void swiglu_backward(Stream&, Out2, Out2, In2, In2, In2, float) { no_kernel("swiglu"); }
// clang-format on

}  // namespace hadal::cuda
