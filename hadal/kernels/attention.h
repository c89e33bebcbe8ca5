// kernels/attention.h: the backends of ops/attention.h; layouts and formulas there. Sequence s
// owns rows [offsets[s], offsets[s+1]).
#pragma once

#include <span>

#include "hadal/core/thread_pool.h"
#include "hadal/kernels/cuda_stream.h"
#include "hadal/tensor/view.h"

namespace hadal {

// Some of the keys of one sequence: those from `first` on, of `n_all`.
struct KeyPart {
  int64_t first = 0, n_all = 0;
};

}  // namespace hadal

namespace hadal::reference {  // Real: float or double, f64 sums

template <class Real>
void attention_forward(View<Real, 3> o, View<Real, 2> lse, View<const Real, 3> q,
                       View<const Real, 3> kv, View<const Real, 2> k_rope,
                       std::span<const int64_t> offsets, Real scale);

template <class Real>
void attention_backward(View<Real, 3> dq, View<Real, 3> dkv, View<Real, 2> dk_rope,
                        View<const Real, 3> d_o, View<const Real, 3> q, View<const Real, 3> kv,
                        View<const Real, 2> k_rope, View<const Real, 3> o, View<const Real, 2> lse,
                        std::span<const int64_t> offsets, Real scale);

template <class Real>
void attention_forward_chunk(View<Real, 3> o, View<const Real, 3> q, View<const Real, 3> kv,
                             View<const Real, 2> k_rope, Real scale);
void attention_forward_part(View<float, 3> o, View<float, 3> state, View<const float, 3> q,
                            View<const float, 3> kv, View<const float, 2> k_rope, KeyPart part,
                            float scale);

}  // namespace hadal::reference

namespace hadal::cpu {

void attention_forward(ThreadPool& pool, View<float, 3> o, View<float, 2> lse,
                       View<const float, 3> q, View<const float, 3> kv, View<const float, 2> k_rope,
                       std::span<const int64_t> offsets, float scale);

// head_dk_rope [H,T,d_r] is working memory: the gradient of the shared rotary key, head by head.
void attention_backward(ThreadPool& pool, View<float, 3> dq, View<float, 3> dkv,
                        View<float, 2> dk_rope, View<float, 3> head_dk_rope,
                        View<const float, 3> d_o, View<const float, 3> q, View<const float, 3> kv,
                        View<const float, 2> k_rope, View<const float, 3> o,
                        View<const float, 2> lse, std::span<const int64_t> offsets, float scale);

void attention_forward_part(ThreadPool& pool, View<float, 3> o, View<float, 3> state,
                            View<const float, 3> q, View<const float, 3> kv,
                            View<const float, 2> k_rope, KeyPart part, float scale);

}  // namespace hadal::cpu

namespace hadal::cuda {

void attention_forward(Stream& stream, View<float, 3> o, View<float, 2> lse, View<const float, 3> q,
                       View<const float, 3> kv, View<const float, 2> k_rope,
                       std::span<const int64_t> offsets, float scale);
void attention_backward(Stream& stream, View<float, 3> dq, View<float, 3> dkv,
                        View<float, 2> dk_rope, View<const float, 3> d_o, View<const float, 3> q,
                        View<const float, 3> kv, View<const float, 2> k_rope,
                        View<const float, 3> o, View<const float, 2> lse,
                        std::span<const int64_t> offsets, float scale);
void attention_forward_part(Stream& stream, View<float, 3> o, View<float, 3> state,
                            View<const float, 3> q, View<const float, 3> kv,
                            View<const float, 2> k_rope, KeyPart part, float scale);

}  // namespace hadal::cuda
