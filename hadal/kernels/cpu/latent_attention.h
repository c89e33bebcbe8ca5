// kernels/cpu/latent_attention.h: ops/latent_attention.h on the CPU. Layouts and formulas there.
#pragma once

#include "hadal/core/thread_pool.h"
#include "hadal/tensor/weight_view.h"

namespace hadal::cpu {

void latent_attention(ThreadPool& pool, View<float, 3> o_latent, View<const float, 3> q_latent,
                      View<const float, 3> q_rope, View<const float, 2> cache, float scale);

void absorb_query(ThreadPool& pool, View<float, 3> q_latent, View<const float, 3> q_nope,
                  const WeightView& w_ukv);
void expand_value(ThreadPool& pool, View<float, 3> o, View<const float, 3> o_latent,
                  const WeightView& w_ukv);

}  // namespace hadal::cpu
