// infer/cached_attention.h: attention behind latent pages, as an argument of the layer body
// (nn/attention_form.h): in absorbed form for few rows of a sequence, in MHA form for many, or both in
// one pass. Each appends the new rows' latents to the layer's pages, which the caller has reserved. A
// form serves one pass and refers to its arguments.
#pragma once

#include "hadal/infer/batch_share.h"
#include "hadal/nn/attention_form.h"

namespace hadal {

// Rows of the pass: those of `absorbed` first, then those of `prefill`.
class MixedAttention : public AttentionForm {
 public:
  MixedAttention(const RopeTable& rope, std::vector<BatchShare> absorbed,
                 std::vector<BatchShare> prefill)
      : rope_(rope), absorbed_(std::move(absorbed)), prefill_(std::move(prefill)) {}
  Tensor forward(Context& ctx, const Mla& mla, int layer, const Tensor& x,
                 Mla::Saved& saved) override;

 private:
  const RopeTable& rope_;
  std::vector<BatchShare> absorbed_, prefill_;
};

// MHA form alone: all rows of a pass are the next ones of one sequence.
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

// Absorbed form alone.
class AbsorbedAttention final : public MixedAttention {
 public:
  AbsorbedAttention(const RopeTable& rope, std::vector<BatchShare> batch)
      : MixedAttention(rope, std::move(batch), {}) {}
};

}  // namespace hadal
