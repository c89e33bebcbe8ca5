// nn/decoder_layer.h: pre-norm block, x += attn(norm(x)); x += ffn_or_moe(norm(x)).
//
// Four phases over one Saved, so that an executor can put the communication of one micro-batch behind
// the computation of another; forward and backward_input are the four in a row. How attention sees
// past tokens and how rows reach their experts are arguments.
#pragma once

#include <variant>

#include "hadal/nn/attention_form.h"
#include "hadal/nn/moe.h"

namespace hadal {

struct DecoderLayer {
  int index = 0;  // layer id, MTP layers counted after the main ones
  RmsNorm attn_norm;
  Mla attn;
  RmsNorm ffn_norm;
  std::variant<Ffn, Moe> ffn;

  struct Saved {
    RmsNorm::Saved attn_norm, ffn_norm;
    Mla::Saved attn;
    std::variant<Ffn::Saved, Moe::Saved> ffn;
    Tensor stream, normed;  // between two phases: residual stream or its gradient, and its norm
    RoutingResult routing;  // from dispatch to combine
  };
  struct Output {
    Tensor hidden;          // [T,d] residual stream
    RoutingResult routing;  // empty in dense layers
  };
  void attention(Context& ctx, AttentionForm& form, Tensor x, Saved& saved) const;
  void dispatch(Context& ctx, TokenDispatcher& dispatcher, const Pass& pass, Saved& saved) const;
  void experts(Context& ctx, TokenDispatcher& dispatcher, const Pass& pass, Saved& saved) const;
  Output combine(Context& ctx, TokenDispatcher& dispatcher, Saved& saved) const;
  Output forward(Context& ctx, AttentionForm& form, TokenDispatcher& dispatcher, Tensor x,
                 const Pass& pass, Saved& saved) const;

  // The way back, last phase first; the last returns dx. Only what TrainingAttention saved has one.
  // Whether the phase behind a start of communication, in F or B, can run without a wait.
  bool arrived(Context& ctx, TokenDispatcher& dispatcher, Saved& saved) const;
  void combine_backward(Context& ctx, TokenDispatcher& dispatcher, Tensor dy, Saved& saved) const;
  void experts_backward(Context& ctx, TokenDispatcher& dispatcher, const Pass& pass,
                        Saved& saved) const;
  void dispatch_backward(Context& ctx, TokenDispatcher& dispatcher, Saved& saved) const;
  Tensor attention_backward(Context& ctx, const Pass& pass, Saved& saved) const;
  Tensor backward_input(Context& ctx, TokenDispatcher& dispatcher, Tensor dy, const Pass& pass,
                        Saved& saved) const;
  // W in two halves, so that B and W at once can let a half go as soon as the gradient has passed it: the
  // first after dispatch_backward, the second after attention_backward.
  void ffn_backward_weight(Context& ctx, Saved& saved);
  void attn_backward_weight(Context& ctx, Saved& saved);
  void backward_weight(Context& ctx, Saved&& saved);

  const Moe* moe() const { return std::get_if<Moe>(&ffn); }
  Moe* moe() { return std::get_if<Moe>(&ffn); }
};

}  // namespace hadal
