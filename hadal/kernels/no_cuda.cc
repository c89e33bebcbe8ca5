// kernels/no_cuda.cc: the CUDA side of every op for which no CUDA kernel is written. Linked in
// every build, with CUDA or without.
<<<<<<< HEAD
#include "hadal/kernels/attention.h"
#include "hadal/kernels/latent_attention.h"
=======
#include "hadal/kernels/adamw_update.h"
#include "hadal/kernels/argmax.h"
#include "hadal/kernels/convert.h"
#include "hadal/kernels/cross_entropy.h"
#include "hadal/kernels/kl_divergence.h"
#include "hadal/kernels/latent_rows.h"
>>>>>>> 8855899d8bf598f57e840c361f0a15022173f94e
#include "hadal/kernels/no_cuda_kernel.h"

namespace hadal::cuda {

// clang-format off
<<<<<<< HEAD
using Out2 = View<float, 2>;  using Out3 = View<float, 3>;
using In2 = View<const float, 2>;  using In3 = View<const float, 3>;
using Offsets = std::span<const int64_t>;

// attention
void attention_forward(Stream&, Out3, Out2, In3, In3, In2, Offsets, float) { no_kernel("attention_forward"); }
void attention_backward(Stream&, Out3, Out3, Out2, In3, In3, In3, In2, In3, In2, Offsets, float) { no_kernel("attention_backward"); }
void attention_forward_part(Stream&, Out3, Out3, In3, In3, In2, KeyPart, float) { no_kernel("attention_forward_part"); }

// latent_attention
void latent_attention(Stream&, Out3, In3, In3, const LatentPagesView&, std::span<const SequenceRows>, float) { no_kernel("latent_attention"); }
=======
using Out1 = View<float, 1>;  using Out2 = View<float, 2>;  using Out3 = View<float, 3>;
using In2 = View<const float, 2>;
using Codes = View<f8e4m3, 2>;
using Values = std::span<float>;  using ValuesIn = std::span<const float>;
using Ids = std::span<const int32_t>;

// adamw_update
void adamw_update(Stream&, Values, Values, Values, ValuesIn, const AdamwStep&) { no_kernel("adamw_update"); }
void adamw_update(Stream&, Values, std::span<bf16>, std::span<bf16>, ValuesIn, const AdamwStep&) { no_kernel("adamw_update"); }

// argmax
void argmax_rows(Stream&, std::span<int64_t>, In2) { no_kernel("argmax_rows"); }

// convert
void convert(Stream&, Tensor&, const Tensor&) { no_kernel("convert"); }

// cross_entropy
void cross_entropy_forward(Stream&, Out1, In2, Ids) { no_kernel("cross_entropy"); }
void cross_entropy_forward_backward(Stream&, Out1, Out2, Ids, float) { no_kernel("cross_entropy"); }

// kl_divergence
void kl_divergence(Stream&, Out1, In2, In2) { no_kernel("kl_divergence"); }

// latent_rows
void store_latent_rows(Stream&, const LatentRows&, In2) { no_kernel("store_latent_rows"); }
void load_latent_rows(Stream&, Out2, const LatentRows&) { no_kernel("load_latent_rows"); }

// quantize
void quantize(Stream&, Codes, Out2, In2, int64_t, int64_t, bool, bool) { no_kernel("quantize"); }
void dequantize(Stream&, Out2, const WeightView&) { no_kernel("dequantize"); }

// quantize_q8_q4
void quantize_q8(Stream&, View<int8_t, 2>, View<bf16, 2>, In2) { no_kernel("quantize_q8"); }
void quantize_q4(Stream&, View<uint8_t, 2>, View<bf16, 2>, In2) { no_kernel("quantize_q4"); }

// rope
void rope_turn(Stream&, Out3, In2, In2, Ids, int) { no_kernel("rope"); }

// swiglu
void swiglu_forward(Stream&, Out2, In2, In2) { no_kernel("swiglu"); }
void swiglu_backward(Stream&, Out2, Out2, In2, In2, In2) { no_kernel("swiglu"); }
>>>>>>> 8855899d8bf598f57e840c361f0a15022173f94e
// clang-format on

}  // namespace hadal::cuda
