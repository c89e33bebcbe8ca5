// infer/cached_attention.h: the two forms of attention behind latent pages, as arguments of the layer
// body (nn/attention_form.h). Both append the new rows' latents to the layer's pages, which the
// caller has reserved. A form serves one pass and refers to its arguments.
#pragma once

#include "hadal/infer/latent_pages.h"
#include "hadal/nn/attention_form.h"

namespace hadal {

// MHA form, for many rows: the next ones of one sequence.
class PrefillAttention final : public AttentionForm {
 public:
  PrefillAttention(const RopeTable& rope, LatentSequence& sequence)
      : rope_(rope), sequence_(sequence) {}
  Tensor forward(Context& ctx, const Mla& mla, int layer, const Tensor& x,
                 Mla::Saved& saved) override;

 private:
  const RopeTable& rope_;
  LatentSequence& sequence_;
};

// `n` rows of a pass, behind those of the shares before: the next ones of `sequence`.
struct BatchShare {
  LatentSequence* sequence;
  int64_t n;
};

// Absorbed form, for few rows each of one or many sequences.
class AbsorbedAttention final : public AttentionForm {
 public:
  AbsorbedAttention(const RopeTable& rope, std::vector<BatchShare> batch)
      : rope_(rope), batch_(std::move(batch)) {}
  Tensor forward(Context& ctx, const Mla& mla, int layer, const Tensor& x,
                 Mla::Saved& saved) override;

 private:
  const RopeTable& rope_;
  std::vector<BatchShare> batch_;
};

}  // namespace hadal
