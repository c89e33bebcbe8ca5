// kernels/cuda/hopper/flash_attention.h: causal attention of ops/attention.h on Hopper, BF16 operands, F32 sums.
// Not yet run on a card.
//
// All pointers are on the device, all matrices row-major without gaps:
//   q      [T, H, d_nope + d_rope]   BF16
//   kv     [T, H, d_nope + d_v]      BF16: k_nope then v
//   k_rope [T, d_rope]               BF16, one for all heads
//   o, d_o [T, H, d_v]               lse [T, H] F32, natural logarithm
// Sequences stand one behind the other. Scores, probabilities and their gradients are F32 until they are
// operands of a product, which are BF16. The bits of a sequence's results depend on nothing but its own
// rows: not on its neighbours (whose values may be NaN or infinite), its place or the run.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "hadal/tensor/dtype.h"

namespace hadal::cuda {

struct FlashDims {
  int64_t n_heads = 0, d_nope = 0, d_rope = 0, d_v = 0;
};

// Sequence s owns rows [offsets[s], offsets[s+1]); offsets[0] = 0, offsets[count] = n_tokens.
struct FlashSequences {
  const int64_t* offsets = nullptr;  // [count + 1], on the device
  int64_t count = 0, n_tokens = 0;
  int64_t max_length = 0;  // at least the longest sequence's
};

// Whether there are kernels for these head widths: 128/64/128 and 64/32/64.
inline bool flash_attention_supported(const FlashDims& dims) {
  const auto are = [&](int64_t nope, int64_t rope, int64_t v) {
    return dims.d_nope == nope && dims.d_rope == rope && dims.d_v == v;
  };
  return are(128, 64, 128) || are(64, 32, 64);
}

// The functions below only enqueue work on `stream`. `workspace` holds as many bytes as the function
// before says, begins at a multiple of 256 and is free again when the work is done. Pointers begin at
// multiples of 16. `scale` is positive. ShapeError for widths that are not supported.

size_t flash_attention_forward_workspace();
void flash_attention_forward(cudaStream_t stream, bf16* o, float* lse, const bf16* q,
                             const bf16* kv, const bf16* k_rope, const FlashSequences& sequences,
                             const FlashDims& dims, float scale, void* workspace);
void flash_attention_forward(cudaStream_t stream, float* o, float* lse, const bf16* q,
                             const bf16* kv, const bf16* k_rope, const FlashSequences& sequences,
                             const FlashDims& dims, float scale, void* workspace);

// dq, dkv as q, kv; dk_rope [T, d_rope] F32 is the sum over heads in ascending order. All three are
// overwritten. o and lse are what forward gave.
size_t flash_attention_backward_workspace(const FlashSequences& sequences, const FlashDims& dims);
void flash_attention_backward(cudaStream_t stream, bf16* dq, bf16* dkv, float* dk_rope,
                              const bf16* d_o, const bf16* q, const bf16* kv, const bf16* k_rope,
                              const bf16* o, const float* lse, const FlashSequences& sequences,
                              const FlashDims& dims, float scale, void* workspace);
void flash_attention_backward(cudaStream_t stream, float* dq, float* dkv, float* dk_rope,
                              const bf16* d_o, const bf16* q, const bf16* kv, const bf16* k_rope,
                              const bf16* o, const float* lse, const FlashSequences& sequences,
                              const FlashDims& dims, float scale, void* workspace);

}  // namespace hadal::cuda
