// kernels/reference/attention.h: the executable specification of ops/attention.h.
// Plain loops, f64 sums; T is float or double. Layouts as there: q [T,H,d_n+d_r], kv [T,H,d_n+d_v],
// k_rope [T,d_r], o [T,H,d_v], lse [T,H]. Sequence s owns rows [offsets[s], offsets[s+1]).
#pragma once

#include <span>

#include "hadal/tensor/view.h"

namespace hadal::reference {

template <class T>
void attention_forward(View<T, 3> o, View<T, 2> lse, View<const T, 3> q, View<const T, 3> kv,
                       View<const T, 2> k_rope, std::span<const int64_t> offsets, T scale);

template <class T>
void attention_backward(View<T, 3> dq, View<T, 3> dkv, View<T, 2> dk_rope, View<const T, 3> d_o,
                        View<const T, 3> q, View<const T, 3> kv, View<const T, 2> k_rope,
                        View<const T, 3> o, View<const T, 2> lse, std::span<const int64_t> offsets,
                        T scale);

template <class T>
void attention_forward_chunk(View<T, 3> o, View<const T, 3> q, View<const T, 3> kv,
                             View<const T, 2> k_rope, T scale);

}  // namespace hadal::reference
