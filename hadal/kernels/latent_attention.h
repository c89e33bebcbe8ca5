// kernels/latent_attention.h: the backends of ops/latent_attention.h; layouts and formulas
// there.
#pragma once

#include "hadal/core/thread_pool.h"
#include "hadal/kernels/cuda_stream.h"
#include "hadal/kernels/latent_layout.h"
#include "hadal/tensor/view.h"

namespace hadal::reference {  // Real: float or double, f64 sums

template <class Real>
void latent_attention(View<Real, 3> o_latent, View<const Real, 3> q_latent,
                      View<const Real, 3> q_rope, View<const Real, 3> pages,
                      std::span<const SequenceRows> sequences, Real scale);

template <class Real>
void absorb_query(View<Real, 3> q_latent, View<const Real, 3> q_nope,
                  View<const Real, 2> w_ukv) noexcept;

template <class Real>
void expand_value(View<Real, 3> o, View<const Real, 3> o_latent,
                  View<const Real, 2> w_ukv) noexcept;

}  // namespace hadal::reference

namespace hadal::cpu {

void latent_attention(ThreadPool& pool, View<float, 3> o_latent, View<const float, 3> q_latent,
                      View<const float, 3> q_rope, const LatentPagesView& pages,
                      std::span<const SequenceRows> sequences, float scale);

}  // namespace hadal::cpu

namespace hadal::cuda {

void latent_attention(Stream& stream, View<float, 3> o_latent, View<const float, 3> q_latent,
                      View<const float, 3> q_rope, const LatentPagesView& pages,
                      std::span<const SequenceRows> sequences, float scale);

}  // namespace hadal::cuda
