// nn/attention_form.h: how a layer's attention sees past tokens: an argument of the layer body, so that
// training, prefill and decode share the body.
#pragma once

#include "hadal/nn/mla.h"

namespace hadal {

class AttentionForm {
 public:
  virtual ~AttentionForm() = default;
  // u [T,d] of the normed rows x [T,d] in layer `layer` (MTP layers counted after the main ones).
  // `saved` is filled by the form that learns, TrainingAttention, and left alone by the others.
  virtual Tensor forward(Context& ctx, const Mla& mla, int layer, const Tensor& x,
                         Mla::Saved& saved) = 0;
};

// Whole sequences, nothing before them.
class TrainingAttention final : public AttentionForm {
 public:
  explicit TrainingAttention(const Pass& pass) : pass_(pass) {}  // outlives the form
  Tensor forward(Context& ctx, const Mla& mla, int /*layer*/, const Tensor& x,
                 Mla::Saved& saved) override {
    return mla.forward(ctx, x, pass_, saved);
  }

 private:
  const Pass& pass_;
};

}  // namespace hadal
