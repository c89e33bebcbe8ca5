// infer/cached_attention.h: the two forms of attention behind a latent cache, as arguments of the layer
// body (nn/attention_form.h). Both append the new rows' latents to the layer's cache.
#pragma once

#include "hadal/infer/latent_kv_cache.h"
#include "hadal/nn/attention_form.h"

namespace hadal {

// MHA form, for many rows.
class PrefillAttention final : public AttentionForm {
 public:
  PrefillAttention(const RopeTable& rope, LatentKvCache& cache) : rope_(rope), cache_(cache) {}
  Tensor forward(Context& ctx, const Mla& mla, int layer, const Tensor& x,
                 Mla::Saved& saved) override;

 private:
  const RopeTable& rope_;
  LatentKvCache& cache_;
};

// Absorbed form, for few.
class AbsorbedAttention final : public AttentionForm {
 public:
  AbsorbedAttention(const RopeTable& rope, LatentKvCache& cache) : rope_(rope), cache_(cache) {}
  Tensor forward(Context& ctx, const Mla& mla, int layer, const Tensor& x,
                 Mla::Saved& saved) override;

 private:
  const RopeTable& rope_;
  LatentKvCache& cache_;
};

}  // namespace hadal
