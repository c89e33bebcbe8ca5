// kernels/cpu/attention.h: ops/attention.h on the CPU. Layouts and formulas there.
#pragma once

#include <span>

#include "hadal/core/thread_pool.h"
#include "hadal/tensor/view.h"

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

void attention_forward_chunk(ThreadPool& pool, View<float, 3> o, View<const float, 3> q,
                             View<const float, 3> kv, View<const float, 2> k_rope, float scale);

}  // namespace hadal::cpu
