// kernels/no_cuda.cc: the CUDA side of every op for which no CUDA kernel is written. Linked in
// every build, with CUDA or without.
#include "hadal/kernels/attention.h"
#include "hadal/kernels/latent_attention.h"
#include "hadal/kernels/no_cuda_kernel.h"

namespace hadal::cuda {

// clang-format off
using Out2 = View<float, 2>;  using Out3 = View<float, 3>;
using In2 = View<const float, 2>;  using In3 = View<const float, 3>;
using Offsets = std::span<const int64_t>;

// attention
void attention_forward(Stream&, Out3, Out2, In3, In3, In2, Offsets, float) { no_kernel("attention_forward"); }
void attention_backward(Stream&, Out3, Out3, Out2, In3, In3, In3, In2, In3, In2, Offsets, float) { no_kernel("attention_backward"); }
void attention_forward_part(Stream&, Out3, Out3, In3, In3, In2, KeyPart, float) { no_kernel("attention_forward_part"); }

// latent_attention
void latent_attention(Stream&, Out3, In3, In3, const LatentPagesView&, std::span<const SequenceRows>, float) { no_kernel("latent_attention"); }
// clang-format on

}  // namespace hadal::cuda
