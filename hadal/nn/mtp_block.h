// nn/mtp_block.h: one multi-token-prediction module (report eq. 21-25).
//
//   x = W_eh [ norm_e(embedding of token i+k) ; norm_h(state_{k-1} of i) ]      embedding half
//   first h = decoder_layer(x)        the head reads head_norm(h), which is also state_k
// Embedding and head are the main model's.
#pragma once

#include "hadal/nn/decoder_layer.h"

namespace hadal {

struct MtpBlock {
  RmsNorm enorm, hnorm;
  Linear w_eh;  // [d, 2d]
  DecoderLayer layer;
  RmsNorm head_norm;  // shared_head.norm

  struct Saved {
    RmsNorm::Saved enorm, hnorm, head_norm;
    Linear::Saved w_eh;
    DecoderLayer::Saved layer;
  };
  struct Output {
    Tensor hidden;  // [T,d] residual stream after the block
    Tensor normed;  // [T,d] head_norm(hidden)
    RoutingResult routing;
  };
  // W_eh [norm_e(embedded) ; norm_h(state)]: what the decoder layer reads.
  Tensor combine(Context& ctx, const Tensor& embedded, const Tensor& state, Saved& saved) const;
  Output forward(Context& ctx, AttentionForm& form, TokenDispatcher& dispatcher,
                 const Tensor& embedded, const Tensor& state, const Pass& pass, Saved& saved) const;
  struct InputGradient {
    Tensor embedded, state;
  };
  // The way back around the layer's own. dnormed: gradient of `normed`; dhidden: further gradient of `hidden`
  // (may be empty). Returns the gradient of the layer's output.
  Tensor head_backward_input(Context& ctx, Tensor dnormed, Tensor dhidden, Saved& saved) const;
  InputGradient combine_backward_input(Context& ctx, Tensor dx, Saved& saved) const;
  void combine_backward_weight(Context& ctx, Saved& saved);
  void backward_weight(Context& ctx,
                       Saved&& saved);  // of the whole block

 private:
  Tensor joined(Context& ctx, const Tensor& e, const Tensor& h) const;
};

}  // namespace hadal
