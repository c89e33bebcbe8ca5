#include "hadal/kernels/cpu/attention.h"

#include "hadal/kernels/reference/attention.h"

namespace hadal::cpu {

void attention_forward(ThreadPool&, View<float, 3> o, View<float, 2> lse, View<const float, 3> q,
                       View<const float, 3> kv, View<const float, 2> k_rope,
                       std::span<const int64_t> offsets, float scale) {
  reference::attention_forward(o, lse, q, kv, k_rope, offsets, scale);
}

void attention_backward(ThreadPool&, View<float, 3> dq, View<float, 3> dkv, View<float, 2> dk_rope,
                        View<const float, 3> d_o, View<const float, 3> q, View<const float, 3> kv,
                        View<const float, 2> k_rope, View<const float, 3> o,
                        View<const float, 2> lse, std::span<const int64_t> offsets, float scale) {
  reference::attention_backward(dq, dkv, dk_rope, d_o, q, kv, k_rope, o, lse, offsets, scale);
}

void attention_forward_chunk(ThreadPool&, View<float, 3> o, View<const float, 3> q,
                             View<const float, 3> kv, View<const float, 2> k_rope, float scale) {
  reference::attention_forward_chunk(o, q, kv, k_rope, scale);
}

}  // namespace hadal::cpu
