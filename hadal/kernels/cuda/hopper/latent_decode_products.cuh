// kernels/cuda/hopper/latent_decode_products.cuh: what the two multiplying warpgroups of latent_decode.cu do with a
// page: scores, the running softmax, sums of rows. Tiles: latent_decode_pages.cuh.
//
// Not yet run on a card.
#pragma once

#include "hadal/kernels/cuda/hopper/latent_decode_pages.cuh"

namespace hadal::cuda::decode {

inline constexpr float kNothing = -INFINITY;  // the maximum of no score

template <int kPart>
__device__ inline void add_scores(float (&s)[32], const Shared& shared, int buffer) {
  const auto q = BlockRows::along(shared.queries()), k = BlockRows::along(shared.page(buffer));
#pragma unroll
  for (int i = block_count(kPart) - 1; i >= 0; --i) {
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      const bool first = kPart == kRight && i == block_count(kPart) - 1 && step == 0;
      const uint32_t at = (first_block(kPart) + i) * kBlockBytes + step * BlockRows::kStepAlong;
      product_bf16<false, false>(s, q.at(at), k.at(at), !first);
    }
  }
}

template <int kPart>
__device__ inline void add_values(float (&o)[128], const Shared& shared, int buffer) {
  const auto p = BlockRows::along(shared.probabilities());
  const auto v =
      BlockRows::across(shared.page(buffer) + first_block(kPart) * kBlockBytes, kBlockBytes);
#pragma unroll
  for (int step = 0; step < 4; ++step) {
    product_bf16<false, true>(o, p.at(step * BlockRows::kStepAlong),
                              v.at(step * BlockRows::kStepAcross), true);
  }
}

// Rows of a tile by a thread: `row` and `row` + 8 (products.cuh).
__device__ inline int first_tile_row(int thread) {
  return (thread >> 5 & 3) * 16 + (thread >> 2 & 7);
}

__device__ inline void scale_rows(float (&o)[128], float top, float low) {
  if (__all_sync(0xFFFFFFFF, top == 1 && low == 1)) return;
#pragma unroll
  for (int i = 0; i < 128; i += 4) {
    o[i] *= top;
    o[i + 1] *= top;
    o[i + 2] *= low;
    o[i + 3] *= low;
  }
}

// The running softmax of a thread's two rows.
struct Softmax {
  float max[2] = {kNothing, kNothing};
  float sum[2] = {0, 0};     // of this thread's columns
  float factor[2] = {1, 1};  // by which the last page's maximum made earlier sums smaller

  // Scores of a page to probabilities, up to a factor that is common to the row so far. limit: columns from
  // there on are not seen.
  __device__ void add_page(float (&s)[32], float scale_log2, bool some_hidden,
                           const int (&limit)[2], int thread) {
    if (some_hidden) {
#pragma unroll
      for (int i = 0; i < 32; ++i) {
        const int column = 8 * (i >> 2) + 2 * (thread & 3) + (i & 1);
        if (column >= limit[i >> 1 & 1]) s[i] = kNothing;
      }
    }
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      float top = s[2 * h];
#pragma unroll
      for (int i = 0; i < 32; i += 4) top = fmaxf(top, fmaxf(s[i + 2 * h], s[i + 2 * h + 1]));
      top = fmaxf(top, __shfl_xor_sync(0xFFFFFFFF, top, 1));
      top = fmaxf(top, __shfl_xor_sync(0xFFFFFFFF, top, 2));
      const float now = fmaxf(max[h], top * scale_log2);
      const float anchor = now == kNothing ? 0.0F : now;  // infinity minus itself would be NaN
      factor[h] = exp2_fast(max[h] - anchor);
      max[h] = now;
      float page_sum = 0;
#pragma unroll
      for (int i = 0; i < 32; i += 4) {
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          float& p = s[i + 2 * h + e];
          p = exp2_fast(__fmaf_rn(p, scale_log2, -anchor));
          page_sum += p;
        }
      }
      sum[h] = __fmaf_rn(sum[h], factor[h], page_sum);
    }
  }
  __device__ void finish() {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      sum[h] += __shfl_xor_sync(0xFFFFFFFF, sum[h], 1);
      sum[h] += __shfl_xor_sync(0xFFFFFFFF, sum[h], 2);
    }
  }
};

__device__ inline void store_probabilities(const float (&s)[32], const Softmax& softmax,
                                           const Shared& shared, int thread) {
  const int row = first_tile_row(thread);
#pragma unroll
  for (int i = 0; i < 8; ++i) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      store_shared(shared.probabilities() + BlockRows::piece_at(row + 8 * h, i) + 4 * (thread & 3),
                   pack_bf16(s[4 * i + 2 * h], s[4 * i + 2 * h + 1]));
    }
  }
  if ((thread & 3) == 0) {
    store_shared(shared.row_factors() + 4 * row, __float_as_uint(softmax.factor[0]));
    store_shared(shared.row_factors() + 4 * (row + 8), __float_as_uint(softmax.factor[1]));
  }
  fence_async();
  barrier_arrive(shared.probabilities_full());
}

}  // namespace hadal::cuda::decode
