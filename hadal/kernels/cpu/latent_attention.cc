// Attention on the latent cache. All heads share the keys, so one block of the cache is read once
// for all of them. Each task is one query and one block of keys; its partial result (as if there
// were no other keys) is merged with the others in ascending order. Blocks begin at fixed keys:
// neither the thread count nor the number of queries changes a bit.
#include "hadal/kernels/latent_attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "hadal/core/checked_math.h"
#include "hadal/kernels/cpu/attention_rows.h"
#include "hadal/kernels/cpu/block_gemm.h"
#include "hadal/kernels/cpu/few_rows.h"
#include "hadal/kernels/cpu/scratch.h"

namespace hadal::cpu {
namespace {

constexpr int64_t kKeys = 64;  // enough to hide the merge, few enough to share 200 keys out

// The [T, d] matrix of one head of a [T, H, d] tensor.
template <class T>
View<T, 2> of_head(View<T, 3> x, int64_t h) {
  return {x.data() + h * x.stride(1), {x.dim(0), x.dim(2)}, {x.stride(0), 1}};
}
// The [H, d] matrix of one token.
template <class T>
View<T, 2> of_token(View<T, 3> x, int64_t t) {
  return {x.data() + t * x.stride(0), {x.dim(1), x.dim(2)}, {x.stride(1), 1}};
}

// What one task leaves behind for query i and key block b.
struct Partials {
  int64_t n_blocks, H, d_c;
  float* storage;

  static int64_t floats(int64_t n_tasks, int64_t H, int64_t d_c) { return n_tasks * H * (d_c + 2); }
  float* block(int64_t i, int64_t b) const { return storage + (i * n_blocks + b) * H * (d_c + 2); }
  View<float, 2> o(int64_t i, int64_t b) const { return {block(i, b), {H, d_c}}; }
  float& largest(int64_t i, int64_t b, int64_t h) const { return block(i, b)[H * d_c + h]; }
  float& sum(int64_t i, int64_t b, int64_t h) const { return block(i, b)[H * (d_c + 1) + h]; }
};

void attend_block(const Partials& partials, int64_t i, int64_t b, View<const float, 2> q_latent,
                  View<const float, 2> q_rope, View<const float, 2> keys, float scale) {
  thread_local Scratch score_scratch;
  const int64_t H = q_latent.dim(0), d_c = q_latent.dim(1), n = keys.dim(0);
  const View<float, 2> s(score_scratch.take(H * kKeys), {H, n}, {kKeys, 1});
  few_rows_nt(s, q_latent, keys.columns(0, d_c), false);
  few_rows_nt(s, q_rope, keys.columns(d_c, keys.dim(1)), true);
  for (int64_t h = 0; h < H; ++h) {
    RunningSoftmax softmax{-std::numeric_limits<float>::infinity(), 0.0F};
    softmax_next_block(softmax, s.row(h).data(), n, n, scale);
    partials.largest(i, b, h) = softmax.largest;
    partials.sum(i, b, h) = softmax.sum;
  }
  few_rows_nn(partials.o(i, b), s, keys.columns(0, d_c), false);
}

// o = sum_b w_b o_b / sum_b w_b sum_b,   w_b = exp(largest_b - largest of all)
void merge_blocks(const Partials& partials, int64_t i, int64_t h, int64_t n_blocks,
                  std::span<float> o) {
  float largest = partials.largest(i, 0, h);
  for (int64_t b = 1; b < n_blocks; ++b) largest = std::max(largest, partials.largest(i, b, h));
  std::fill(o.begin(), o.end(), 0.0F);
  float sum = 0.0F;
  for (int64_t b = 0; b < n_blocks; ++b) {
    const float weight = std::exp(partials.largest(i, b, h) - largest);
    sum += weight * partials.sum(i, b, h);
    const float* part = partials.o(i, b).row(h).data();
    for (size_t c = 0; c < o.size(); ++c) o[c] += weight * part[c];
  }
  scale_row(o.data(), static_cast<int64_t>(o.size()), 1.0F / sum);
}

}  // namespace

void latent_attention(ThreadPool& pool, View<float, 3> o_latent, View<const float, 3> q_latent,
                      View<const float, 3> q_rope, View<const float, 2> cache, float scale) {
  const int64_t n_queries = q_latent.dim(0), H = q_latent.dim(1), d_c = q_latent.dim(2);
  if (n_queries == 0 || H == 0) return;
  thread_local Scratch partial_scratch;
  const int64_t n_blocks = ceil_div(cache.dim(0), kKeys), n_tasks = n_queries * n_blocks;
  const Partials partials{n_blocks, H, d_c,
                          partial_scratch.take(Partials::floats(n_tasks, H, d_c))};
  const auto n_visible = [&](int64_t i) { return cache.dim(0) - n_queries + i + 1; };
  pool.parallel_tasks(n_tasks, [&](int64_t task, int) {
    const int64_t i = task / n_blocks, b = task % n_blocks, begin = b * kKeys;
    const int64_t end = std::min(n_visible(i), begin + kKeys);
    if (begin >= end) return;
    attend_block(partials, i, b, of_token(q_latent, i), of_token(q_rope, i), cache.rows(begin, end),
                 scale);
  });
  pool.parallel_for(n_queries * H, 4, [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t i = row / H, h = row % H;
      merge_blocks(partials, i, h, ceil_div(n_visible(i), kKeys), of_token(o_latent, i).row(h));
    }
  });
}

void absorb_query(ThreadPool& pool, View<float, 3> q_latent, View<const float, 3> q_nope,
                  const WeightView& w_ukv) {
  const int64_t rows_per_head = w_ukv.rows / q_nope.dim(1), d_nope = q_nope.dim(2);
  pool.parallel_for(q_nope.dim(1), 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t h = begin; h < end; ++h) {
      const WeightView w_uk = w_ukv.row_range(h * rows_per_head, h * rows_per_head + d_nope);
      const View<float, 2> out = of_head(q_latent, h);
      const View<const float, 2> in = of_head(q_nope, h);
      if (in.dim(0) <= kFewRowsNn) {
        few_rows_nn(out, in, w_uk, false);
      } else {
        block_gemm(out.data(), out.stride(0), out.dim(0), out.dim(1), in.dim(1), Operand::of(in),
                   w_uk, false, false);
      }
    }
  });
}

void expand_value(ThreadPool& pool, View<float, 3> o, View<const float, 3> o_latent,
                  const WeightView& w_ukv) {
  const int64_t rows_per_head = w_ukv.rows / o.dim(1), d_v = o.dim(2);
  pool.parallel_for(o.dim(1), 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t h = begin; h < end; ++h) {
      const WeightView w_uv =
          w_ukv.row_range((h + 1) * rows_per_head - d_v, (h + 1) * rows_per_head);
      const View<float, 2> out = of_head(o, h);
      const View<const float, 2> in = of_head(o_latent, h);
      if (in.dim(0) <= kFewRowsNt) {
        few_rows_nt(out, in, w_uv, false);
      } else {
        block_gemm(out.data(), out.stride(0), out.dim(0), out.dim(1), in.dim(1), Operand::of(in),
                   w_uv, true, false);
      }
    }
  });
}

}  // namespace hadal::cpu
