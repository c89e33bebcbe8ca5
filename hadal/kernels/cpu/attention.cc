// Attention by blocks of queries and keys, one task per sequence and head. Scores live in a buffer
// of kQueries x kKeys per thread and are never kept. Everything of a task happens in a fixed order
// on one thread, so results repeat for any thread count.
#include "hadal/kernels/attention.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "hadal/core/checked_math.h"
#include "hadal/kernels/cpu/attention_rows.h"
#include "hadal/kernels/cpu/block_gemm.h"
#include "hadal/kernels/cpu/scratch.h"

namespace hadal::cpu {
namespace {

// Few queries waste little on keys in their future.
constexpr int64_t kQueries = 64;
constexpr int64_t kKeys = 256;  // also ops/attention.h, kKeyGrain

// One head of a [T, H, d] tensor, from column `first` on, as a matrix.
Operand head(View<const float, 3> x, int64_t h, int64_t first) {
  return {x.data() + h * x.stride(1) + first, x.stride(0), 1};
}

// One sequence and head: queries are the last n_queries of n_all positions, keys are n_keys of them
// from first_key on (all, but where a cache is read part by part).
struct HeadTask {
  int64_t h, n_queries, n_keys, first_key, n_all, d_nope, d_rope, d_v;
  float scale;
  View<const float, 3> q, kv;   // rows of this sequence
  View<const float, 2> k_rope;  // rows of this sequence

  HeadTask(int64_t h_, View<const float, 3> q_, View<const float, 3> kv_,
           View<const float, 2> k_rope_, float scale_, KeyPart part)
      : h(h_),
        n_queries(q_.dim(0)),
        n_keys(kv_.dim(0)),
        first_key(part.first),
        n_all(part.n_all),
        d_nope(q_.dim(2) - k_rope_.dim(1)),
        d_rope(k_rope_.dim(1)),
        d_v(kv_.dim(2) - d_nope),
        scale(scale_),
        q(q_),
        kv(kv_),
        k_rope(k_rope_) {}

  int64_t d_qk() const { return d_nope + d_rope; }
  // Keys of these that query i sees.
  int64_t visible(int64_t i) const {
    return std::clamp<int64_t>(n_all - n_queries + i + 1 - first_key, 0, n_keys);
  }
  bool is_last() const { return first_key + n_keys == n_all; }
  Operand queries(int64_t i) const { return head(q, h, 0).at(i, 0); }
  Operand values(int64_t j) const { return head(kv, h, d_nope).at(j, 0); }

  // Keys [n, d_qk] from j0 on, side by side with the shared rotary part, so that a score is one product.
  Operand gather_keys(float* keys, int64_t j0, int64_t n) const {
    for (int64_t j = 0; j < n; ++j) {
      const float* nope = kv.data() + (j0 + j) * kv.stride(0) + h * kv.stride(1);
      float* key = std::copy(nope, nope + d_nope, keys + j * d_qk());
      std::copy_n(k_rope.row(j0 + j).data(), d_rope, key);
    }
    return {keys, d_qk(), 1};
  }
};

// Packs one operand behind the other into memory that is large enough.
struct Packer {
  float* next;
  PackedB operator()(int64_t n, int64_t k, const Operand& b) {
    const PackedB packed = pack_b(next, n, k, b);
    next += packed_b_floats(n, k);
    return packed;
  }
};

// The keys of a task, kKeys of them at a time, as the products of all its queries read them.
struct KeyBlock {
  PackedB keys, keys_turned, values, values_turned;

  // Floats of `n_blocks` of them and of the keys of one, gathered.
  static int64_t floats(const HeadTask& task, int64_t n_blocks) {
    const auto both = [](int64_t width) {
      return packed_b_floats(width, kKeys) + packed_b_floats(kKeys, width);
    };
    return n_blocks * (both(task.d_qk()) + both(task.d_v)) + kKeys * task.d_qk();
  }
};

// of_block(block, keys, values, n, pack) packs what a pass reads.
template <class OfBlock>
std::vector<KeyBlock> key_blocks(const HeadTask& task, Scratch& scratch, const OfBlock& of_block) {
  std::vector<KeyBlock> blocks(static_cast<size_t>(ceil_div(task.n_keys, kKeys)));
  float* gathered = scratch.take(KeyBlock::floats(task, std::ssize(blocks)));
  Packer pack{gathered + kKeys * task.d_qk()};
  for (int64_t j0 = 0; j0 < task.n_keys; j0 += kKeys) {
    const int64_t n = std::min(kKeys, task.n_keys - j0);
    of_block(blocks[static_cast<size_t>(j0 / kKeys)], task.gather_keys(gathered, j0, n),
             task.values(j0), n, pack);
  }
  return blocks;
}

// state [n_queries, H, 2], the largest score and the sum of each query, passes from one part of the keys
// to the next; o is divided by the sum behind the last one. One part alone needs no state.
void forward_head(const HeadTask& task, View<float, 3> o, View<float, 3> state, float* lse,
                  int64_t lse_stride) {
  thread_local Scratch score_scratch, key_scratch;
  float* s = score_scratch.take(kQueries * kKeys);
  const auto blocks =
      key_blocks(task, key_scratch,
                 [&](KeyBlock& block, Operand keys, Operand values, int64_t n, Packer& pack) {
                   block.keys_turned = pack(n, task.d_qk(), keys.transposed());
                   block.values = pack(task.d_v, n, values);
                 });
  const bool is_first = task.first_key == 0;
  for (int64_t i0 = 0; i0 < task.n_queries; i0 += kQueries) {
    const int64_t n_rows = std::min(kQueries, task.n_queries - i0);
    const int64_t n_visible = task.visible(i0 + n_rows - 1);
    float* out = o.data() + i0 * o.stride(0) + task.h * o.stride(1);
    std::array<RunningSoftmax, kQueries> softmax;
    softmax.fill({-std::numeric_limits<float>::infinity(), 0.0F});
    for (int64_t r = 0; !is_first && r < n_rows; ++r) {
      softmax[static_cast<size_t>(r)] = {state(i0 + r, task.h, 0), state(i0 + r, task.h, 1)};
    }
    for (int64_t j0 = 0; j0 < n_visible; j0 += kKeys) {
      const int64_t n = std::min(kKeys, n_visible - j0);
      const bool accumulate = !is_first || j0 > 0;
      const KeyBlock& block = blocks[static_cast<size_t>(j0 / kKeys)];
      block_gemm(s, kKeys, n_rows, n, task.d_qk(), task.queries(i0), block.keys_turned, false);
      for (int64_t r = 0; r < n_rows; ++r) {
        const int64_t n_seen = std::clamp<int64_t>(task.visible(i0 + r) - j0, 0, n);
        const float factor = softmax_next_block(softmax[static_cast<size_t>(r)], s + r * kKeys,
                                                n_seen, n, task.scale);
        if (accumulate) scale_row(out + r * o.stride(0), task.d_v, factor);
      }
      block_gemm(out, o.stride(0), n_rows, task.d_v, n, {s, kKeys, 1}, block.values, accumulate);
    }
    for (int64_t r = 0; r < n_rows; ++r) {
      const RunningSoftmax& row = softmax[static_cast<size_t>(r)];
      if (!task.is_last()) {
        state(i0 + r, task.h, 0) = row.largest;
        state(i0 + r, task.h, 1) = row.sum;
        continue;
      }
      scale_row(out + r * o.stride(0), task.d_v, 1.0F / row.sum);
      if (lse != nullptr) lse[(i0 + r) * lse_stride] = row.largest + std::log(row.sum);
    }
  }
}

// Operands and results of backward, rows of one sequence.
struct HeadGradients {
  View<float, 3> dq, dkv;
  View<float, 2> dk_rope;  // of this head alone
  View<const float, 3> d_o, o;
  View<const float, 2> lse;
};

void backward_head(const HeadTask& task, const HeadGradients& g) {
  thread_local Scratch score_scratch, key_scratch, dk_scratch;
  const int64_t T = task.n_keys, d_qk = task.d_qk(), ldv = g.dkv.stride(0), ldq = g.dq.stride(0);
  float* s = score_scratch.take(2 * kQueries * kKeys);
  float* dp = s + kQueries * kKeys;
  float* dk = dk_scratch.take(T * d_qk);
  float* dv = g.dkv.data() + task.h * g.dkv.stride(1) + task.d_nope;
  const auto blocks =
      key_blocks(task, key_scratch,
                 [&](KeyBlock& block, Operand keys, Operand values, int64_t n, Packer& pack) {
                   block.keys = pack(d_qk, n, keys);
                   block.keys_turned = pack(n, d_qk, keys.transposed());
                   block.values_turned = pack(n, task.d_v, values.transposed());
                 });

  // The last queries first: they see all keys, so that sums begin with them.
  const int64_t last = (T - 1) / kQueries * kQueries;
  for (int64_t i0 = last; i0 >= 0; i0 -= kQueries) {
    const int64_t n_rows = std::min(kQueries, T - i0);
    const int64_t n_visible = i0 + n_rows;
    const Operand d_o = head(g.d_o, task.h, 0).at(i0, 0);
    std::array<float, kQueries> o_dot_do;
    for (int64_t r = 0; r < n_rows; ++r) {
      o_dot_do[static_cast<size_t>(r)] =
          dot(&g.o(i0 + r, task.h, 0), &g.d_o(i0 + r, task.h, 0), task.d_v);
    }
    for (int64_t j0 = 0; j0 < n_visible; j0 += kKeys) {
      const int64_t n = std::min(kKeys, n_visible - j0);
      const KeyBlock& block = blocks[static_cast<size_t>(j0 / kKeys)];
      block_gemm(s, kKeys, n_rows, n, d_qk, task.queries(i0), block.keys_turned, false);
      block_gemm(dp, kKeys, n_rows, n, task.d_v, d_o, block.values_turned, false);
      for (int64_t r = 0; r < n_rows; ++r) {
        softmax_backward_block(s + r * kKeys, dp + r * kKeys,
                               std::clamp<int64_t>(i0 + r + 1 - j0, 0, n), n, task.scale,
                               g.lse(i0 + r, task.h), o_dot_do[static_cast<size_t>(r)]);
      }
      const Operand p{s, kKeys, 1}, ds{dp, kKeys, 1};
      block_gemm(dv + j0 * ldv, ldv, n, task.d_v, n_rows, p.transposed(), d_o, i0 < last);
      block_gemm(dk + j0 * d_qk, d_qk, n, d_qk, n_rows, ds.transposed(), task.queries(i0),
                 i0 < last);
      block_gemm(g.dq.data() + i0 * ldq + task.h * g.dq.stride(1), ldq, n_rows, d_qk, n, ds,
                 block.keys, j0 > 0);
    }
  }
  for (int64_t j = 0; j < T; ++j) {
    std::copy_n(dk + j * d_qk, task.d_nope, g.dkv.data() + j * ldv + task.h * g.dkv.stride(1));
    std::copy_n(dk + j * d_qk + task.d_nope, task.d_rope, g.dk_rope.row(j).data());
  }
}

}  // namespace

void attention_forward(ThreadPool& pool, View<float, 3> o, View<float, 2> lse,
                       View<const float, 3> q, View<const float, 3> kv, View<const float, 2> k_rope,
                       std::span<const int64_t> offsets, float scale) {
  const int64_t H = q.dim(1), n_sequences = static_cast<int64_t>(offsets.size()) - 1;
  pool.parallel_tasks(n_sequences * H, [&](int64_t task, int) {
    const size_t s = static_cast<size_t>(task / H);
    const int64_t h = task % H, begin = offsets[s], end = offsets[s + 1];
    if (begin == end) return;
    forward_head({h,
                  q.rows(begin, end),
                  kv.rows(begin, end),
                  k_rope.rows(begin, end),
                  scale,
                  {0, end - begin}},
                 o.rows(begin, end), {}, &lse(begin, h), lse.stride(0));
  });
}

void attention_backward(ThreadPool& pool, View<float, 3> dq, View<float, 3> dkv,
                        View<float, 2> dk_rope, View<float, 3> head_dk_rope,
                        View<const float, 3> d_o, View<const float, 3> q, View<const float, 3> kv,
                        View<const float, 2> k_rope, View<const float, 3> o,
                        View<const float, 2> lse, std::span<const int64_t> offsets, float scale) {
  const int64_t H = q.dim(1), T = q.dim(0), n_sequences = static_cast<int64_t>(offsets.size()) - 1;
  pool.parallel_tasks(n_sequences * H, [&](int64_t task, int) {
    const size_t s = static_cast<size_t>(task / H);
    const int64_t h = task % H, begin = offsets[s], end = offsets[s + 1];
    if (begin == end) return;
    const View<float, 2> of_head(head_dk_rope.data() + h * head_dk_rope.stride(0),
                                 {T, k_rope.dim(1)});
    backward_head({h,
                   q.rows(begin, end),
                   kv.rows(begin, end),
                   k_rope.rows(begin, end),
                   scale,
                   {0, end - begin}},
                  {dq.rows(begin, end), dkv.rows(begin, end), of_head.rows(begin, end),
                   d_o.rows(begin, end), o.rows(begin, end), lse.rows(begin, end)});
  });
  // The rotary key is shared: its gradient is the sum over the heads, always in ascending order.
  constexpr int64_t kRowGrain = 64;
  pool.parallel_for(T, kRowGrain, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      const std::span<float> sum = dk_rope.row(t);
      std::fill(sum.begin(), sum.end(), 0.0F);
      for (int64_t h = 0; h < H; ++h) {
        for (size_t d = 0; d < sum.size(); ++d) sum[d] += head_dk_rope(h, t, d);
      }
    }
  });
}

void attention_forward_part(ThreadPool& pool, View<float, 3> o, View<float, 3> state,
                            View<const float, 3> q, View<const float, 3> kv,
                            View<const float, 2> k_rope, KeyPart part, float scale) {
  if (q.dim(0) == 0) return;
  pool.parallel_tasks(q.dim(1), [&](int64_t h, int) {
    forward_head({h, q, kv, k_rope, scale, part}, o, state, nullptr, 0);
  });
}

}  // namespace hadal::cpu
