// kernels/reference/latent_attention.h: the executable specification of ops/latent_attention.h.
// Plain loops, f64 sums; T is float or double; w_ukv [H*(d_n+d_v), d_c].
#pragma once

#include "hadal/tensor/view.h"

namespace hadal::reference {

template <class T>
void latent_attention(View<T, 3> o_latent, View<const T, 3> q_latent, View<const T, 3> q_rope,
                      View<const T, 2> cache, T scale);

template <class T>
void absorb_query(View<T, 3> q_latent, View<const T, 3> q_nope, View<const T, 2> w_ukv) noexcept;

template <class T>
void expand_value(View<T, 3> o, View<const T, 3> o_latent, View<const T, 2> w_ukv) noexcept;

}  // namespace hadal::reference
