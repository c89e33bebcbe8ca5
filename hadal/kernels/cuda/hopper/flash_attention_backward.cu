// What stands around the kernel of flash_attention_backward.cuh: values per row before it, the sum of the heads'
// rotary keys behind it, the workspace and the launches. Not yet run on a card.
#include <algorithm>

#include "hadal/kernels/cuda/check.h"
#include "hadal/kernels/cuda/hopper/flash_attention_backward.cuh"

namespace hadal::cuda {
namespace flash {
namespace {

// A warp per row of a head: delta = o . d_o, and lse in units of log 2. Rows that fill up a sequence's
// last 64 get probabilities of 0.
template <int DV>
__global__ void row_values(float* lse_log2, float* delta, const bf16* o, const bf16* d_o,
                           const float* lse, const int64_t* offsets, int64_t padded) {
  constexpr int kPairs = DV / 64;  // a lane's
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int64_t head = blockIdx.y, heads = gridDim.y, sequence = blockIdx.z;
  const int64_t begin = offsets[sequence], length = offsets[sequence + 1] - begin;
  const int64_t block = int64_t{blockIdx.x} * kRows;
  if (block >= length) return;
  for (int64_t row = block + warp; row < block + kRows; row += blockDim.x / 32) {
    float sum = 0.0F, log_sum = INFINITY;
    if (row < length) {
      const int64_t at = (begin + row) * heads + head;
      const auto* const x = reinterpret_cast<const uint32_t*>(o + at * DV) + lane;
      const auto* const y = reinterpret_cast<const uint32_t*>(d_o + at * DV) + lane;
#pragma unroll
      for (int i = 0; i < kPairs; ++i) {
        const uint32_t a = x[32 * i], b = y[32 * i];
        sum = fmaf(lower_bf16(a), lower_bf16(b), sum);
        sum = fmaf(upper_bf16(a), upper_bf16(b), sum);
      }
      log_sum = lse[at] * kLog2E;
    }
#pragma unroll
    for (int apart = 16; apart > 0; apart /= 2) sum += __shfl_xor_sync(0xffffffffU, sum, apart);
    if (lane == 0) {
      const int64_t to = head * padded + padded_row(begin, sequence) + row;
      lse_log2[to] = log_sum;
      delta[to] = sum;
    }
  }
}

// dk_rope[i] = sum of the heads' parts in ascending order, four values a thread.
__global__ void sum_heads(float4* dk_rope, const float4* head_dk_rope, int64_t count, int heads) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= count) return;
  float4 sum = head_dk_rope[i];
#pragma unroll 8
  for (int head = 1; head < heads; ++head) {
    const float4 x = head_dk_rope[head * count + i];
    sum = make_float4(sum.x + x.x, sum.y + x.y, sum.z + x.z, sum.w + x.w);
  }
  dk_rope[i] = sum;
}

// Offsets in the workspace, in bytes.
struct BackwardWorkspace {
  size_t counters = 0, lse_log2, delta, head_dk_rope, dq_sum, bytes;
  size_t counter_bytes;
  int64_t padded, row_blocks;
};

BackwardWorkspace workspace_of(const FlashSequences& s, const FlashDims& dims) {
  const auto up = [](int64_t bytes) { return static_cast<size_t>((bytes + 255) / 256 * 256); };
  BackwardWorkspace w;
  w.row_blocks = (s.max_length + kRows - 1) / kRows;
  w.padded = padded_row(s.n_tokens, s.count);
  w.counter_bytes = up((1 + s.count * dims.n_heads * w.row_blocks) * 4);
  w.lse_log2 = w.counter_bytes;
  w.delta = w.lse_log2 + up(dims.n_heads * w.padded * 4);
  w.head_dk_rope = w.delta + up(dims.n_heads * w.padded * 4);
  w.dq_sum = w.head_dk_rope + up(dims.n_heads * s.n_tokens * dims.d_rope * 4);
  w.bytes = w.dq_sum + up(s.n_tokens * dims.n_heads * (dims.d_nope + dims.d_rope) * 4);
  return w;
}

template <class W, class Out>
void launch(cudaStream_t stream, Out* dq, Out* dkv, float* dk_rope, const bf16* d_o, const bf16* q,
            const bf16* kv, const bf16* k_rope, const bf16* o, const float* lse,
            const FlashSequences& sequences, const FlashDims& dims, float scale, void* workspace) {
  using Tiles = BackwardTiles<W>;
  const int64_t T = sequences.n_tokens, H = dims.n_heads;
  const BackwardWorkspace w = workspace_of(sequences, dims);
  auto* const base = static_cast<uint8_t*>(workspace);
  const auto floats = [&](size_t at) { return reinterpret_cast<float*>(base + at); };

  check(cudaMemsetAsync(base, 0, w.counter_bytes, stream), "attention's counters");
  const dim3 rows(static_cast<unsigned>(w.row_blocks), static_cast<unsigned>(H),
                  static_cast<unsigned>(sequences.count));
  row_values<W::kV><<<rows, 256, 0, stream>>>(floats(w.lse_log2), floats(w.delta), o, d_o, lse,
                                              sequences.offsets, w.padded);
  launched("attention backward, row values");

  const BackwardMaps maps{
      Tiles::Q::map(q, T, H * W::kQk),    Tiles::K::map(kv, T, H * W::kKv),
      Tiles::K::map(k_rope, T, W::kRope), Tiles::V::map(kv, T, H * W::kKv),
      Tiles::DO::map(d_o, T, H * W::kV),
  };
  BackwardArgs a{};
  a.offsets = sequences.offsets;
  a.lse_log2 = floats(w.lse_log2);
  a.delta = floats(w.delta);
  if constexpr (sizeof(Out) == sizeof(float))
    a.dq_sum = dq;
  else
    a.dq_sum = floats(w.dq_sum);
  a.head_dk_rope = floats(w.head_dk_rope);
  a.ticket = reinterpret_cast<int*>(base);
  a.added = a.ticket + 1;
  a.n_tokens = T;
  a.padded = w.padded;
  a.n_heads = static_cast<int>(H);
  a.n_units = static_cast<int>(sequences.count * H);
  a.tiles_per_unit = static_cast<int>((sequences.max_length + kKeys - 1) / kKeys);
  a.row_blocks = static_cast<int>(w.row_blocks);
  // Heads at work at a time: enough to fill the card, few enough for the L2 cache.
  a.group = std::clamp(128 / a.tiles_per_unit, 1, a.n_units);
  a.scale = scale;
  constexpr int kShared = static_cast<int>(Tiles::kPanels) + 1024;  // begins at a multiple of 1024
  static const bool prepared = [] {
    check(cudaFuncSetAttribute(backward_kernel<W, Out>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               kShared),
          "shared memory of attention");
    return true;
  }();
  static_cast<void>(prepared);
  backward_kernel<W>
      <<<static_cast<unsigned>(a.n_units * a.tiles_per_unit), kThreads, kShared, stream>>>(maps, a,
                                                                                           dq, dkv);
  launched("attention backward");

  const int64_t quarters = T * W::kRope / 4;
  sum_heads<<<static_cast<unsigned>((quarters + 255) / 256), 256, 0, stream>>>(
      reinterpret_cast<float4*>(dk_rope), reinterpret_cast<const float4*>(a.head_dk_rope), quarters,
      static_cast<int>(H));
  launched("attention backward, rotary keys");
}

template <class Out>
void backward(cudaStream_t stream, Out* dq, Out* dkv, float* dk_rope, const bf16* d_o,
              const bf16* q, const bf16* kv, const bf16* k_rope, const bf16* o, const float* lse,
              const FlashSequences& sequences, const FlashDims& dims, float scale,
              void* workspace) {
  expect_supported(dims);
  if (sequences.n_tokens == 0) return;
  const auto with = [&]<class W>(W) {
    launch<W>(stream, dq, dkv, dk_rope, d_o, q, kv, k_rope, o, lse, sequences, dims, scale,
              workspace);
  };
  if (dims.d_nope == 128)
    with(Widths<128, 64, 128>{});
  else
    with(Widths<64, 32, 64>{});
}

}  // namespace
}  // namespace flash

size_t flash_attention_backward_workspace(const FlashSequences& sequences, const FlashDims& dims) {
  return flash::workspace_of(sequences, dims).bytes;
}

void flash_attention_backward(cudaStream_t stream, bf16* dq, bf16* dkv, float* dk_rope,
                              const bf16* d_o, const bf16* q, const bf16* kv, const bf16* k_rope,
                              const bf16* o, const float* lse, const FlashSequences& sequences,
                              const FlashDims& dims, float scale, void* workspace) {
  flash::backward(stream, dq, dkv, dk_rope, d_o, q, kv, k_rope, o, lse, sequences, dims, scale,
                  workspace);
}

void flash_attention_backward(cudaStream_t stream, float* dq, float* dkv, float* dk_rope,
                              const bf16* d_o, const bf16* q, const bf16* kv, const bf16* k_rope,
                              const bf16* o, const float* lse, const FlashSequences& sequences,
                              const FlashDims& dims, float scale, void* workspace) {
  flash::backward(stream, dq, dkv, dk_rope, d_o, q, kv, k_rope, o, lse, sequences, dims, scale,
                  workspace);
}

}  // namespace hadal::cuda
