#include "hadal/kernels/cpu/latent_attention.h"

#include "hadal/kernels/reference/latent_attention.h"
#include "hadal/kernels/reference/widen.h"

namespace hadal::cpu {

void latent_attention(ThreadPool&, View<float, 3> o_latent, View<const float, 3> q_latent,
                      View<const float, 3> q_rope, View<const float, 2> cache, float scale) {
  reference::latent_attention(o_latent, q_latent, q_rope, cache, scale);
}

void absorb_query(ThreadPool&, View<float, 3> q_latent, View<const float, 3> q_nope,
                  const WeightView& w_ukv) {
  reference::absorb_query(q_latent, q_nope, reference::Widened(w_ukv).view());
}

void expand_value(ThreadPool&, View<float, 3> o, View<const float, 3> o_latent,
                  const WeightView& w_ukv) {
  reference::expand_value(o, o_latent, reference::Widened(w_ukv).view());
}

}  // namespace hadal::cpu
