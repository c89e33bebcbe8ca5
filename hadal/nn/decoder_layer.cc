#include "hadal/nn/decoder_layer.h"

#include "hadal/ops/copy.h"
#include "hadal/ops/elementwise.h"

namespace hadal {
namespace {

// The input of the layer behind a norm, formed again where the policy did not keep it.
Tensor again(Context& ctx, const RmsNorm& norm, const RmsNorm::Saved& saved, const Pass& pass) {
  return pass.recompute.norm_outputs ? norm.recompute(ctx, saved) : Tensor();
}

Tensor copied(Context& ctx, const Tensor& x) {
  Tensor y = ctx.empty(x.shape());
  copy_rows(ctx, y.mat(), x.mat());
  return y;
}

}  // namespace

void DecoderLayer::attention(Context& ctx, AttentionForm& form, Tensor x, Saved& saved) const {
  saved.stream =
      form.forward(ctx, attn, index, attn_norm.forward(ctx, x, saved.attn_norm), saved.attn);
  add(ctx, saved.stream.flat<float>(), std::as_const(x).flat<float>());
}

void DecoderLayer::dispatch(Context& ctx, TokenDispatcher& dispatcher, const Pass& pass,
                            Saved& saved) const {
  saved.normed = ffn_norm.forward(ctx, saved.stream, saved.ffn_norm);
  if (const Moe* experts_here = moe()) {
    saved.routing = experts_here->dispatch(ctx, dispatcher, saved.normed, index, pass,
                                           saved.ffn.emplace<Moe::Saved>());
  }
}

void DecoderLayer::experts(Context& ctx, TokenDispatcher& dispatcher, const Pass& pass,
                           Saved& saved) const {
  const Tensor normed = std::move(saved.normed);
  if (const Moe* experts_here = moe()) {
    experts_here->experts(ctx, dispatcher, normed, pass, std::get<Moe::Saved>(saved.ffn));
  } else {
    saved.normed =
        std::get<Ffn>(ffn).forward(ctx, normed, pass.recompute, saved.ffn.emplace<Ffn::Saved>());
  }
}

DecoderLayer::Output DecoderLayer::combine(Context& ctx, TokenDispatcher& dispatcher,
                                           Saved& saved) const {
  const Moe* experts_here = moe();
  Tensor y = experts_here ? experts_here->combine(ctx, dispatcher, std::get<Moe::Saved>(saved.ffn))
                          : std::move(saved.normed);
  const Tensor stream = std::move(saved.stream);
  add(ctx, y.flat<float>(), stream.flat<float>());
  return {std::move(y), std::move(saved.routing)};
}

DecoderLayer::Output DecoderLayer::forward(Context& ctx, AttentionForm& form,
                                           TokenDispatcher& dispatcher, Tensor x, const Pass& pass,
                                           Saved& saved) const {
  attention(ctx, form, std::move(x), saved);
  dispatch(ctx, dispatcher, pass, saved);
  experts(ctx, dispatcher, pass, saved);
  return combine(ctx, dispatcher, saved);
}

bool DecoderLayer::arrived(Context& ctx, TokenDispatcher& dispatcher, Saved& saved) const {
  return !moe() || dispatcher.arrived(ctx, std::get<Moe::Saved>(saved.ffn).dispatch);
}

void DecoderLayer::combine_backward(Context& ctx, TokenDispatcher& dispatcher, Tensor dy,
                                    Saved& saved) const {
  saved.stream = copied(ctx, dy);  // dy itself waits for W
  if (const Moe* experts_here = moe()) {
    experts_here->combine_backward(ctx, dispatcher, std::move(dy), std::get<Moe::Saved>(saved.ffn));
  } else {
    saved.normed = std::move(dy);
  }
}

void DecoderLayer::experts_backward(Context& ctx, TokenDispatcher& dispatcher, const Pass& pass,
                                    Saved& saved) const {
  const Tensor x_again = again(ctx, ffn_norm, saved.ffn_norm, pass);
  if (const Moe* experts_here = moe()) {
    experts_here->experts_backward(ctx, dispatcher, x_again, std::get<Moe::Saved>(saved.ffn));
  } else {
    saved.normed = std::get<Ffn>(ffn).backward_input(ctx, std::move(saved.normed), x_again,
                                                     std::get<Ffn::Saved>(saved.ffn));
  }
}

void DecoderLayer::dispatch_backward(Context& ctx, TokenDispatcher& dispatcher,
                                     Saved& saved) const {
  const Moe* experts_here = moe();
  Tensor dnormed = experts_here ? experts_here->dispatch_backward(ctx, dispatcher,
                                                                  std::get<Moe::Saved>(saved.ffn))
                                : std::move(saved.normed);
  ffn_norm.backward_input_add(ctx, saved.stream, std::move(dnormed), saved.ffn_norm);
}

Tensor DecoderLayer::attention_backward(Context& ctx, const Pass& pass, Saved& saved) const {
  Tensor dy = std::move(saved.stream);
  Tensor dx = copied(ctx, dy);
  Tensor dnormed = attn.backward_input(
      ctx, std::move(dy), again(ctx, attn_norm, saved.attn_norm, pass), pass, saved.attn);
  attn_norm.backward_input_add(ctx, dx, std::move(dnormed), saved.attn_norm);
  return dx;
}

void DecoderLayer::ffn_backward_weight(Context& ctx, Saved& saved) {
  if (Moe* experts_here = moe()) {
    experts_here->backward_weight(ctx, std::move(std::get<Moe::Saved>(saved.ffn)));
  } else {
    Products products{ctx};
    std::get<Ffn>(ffn).backward_weight(products, std::move(std::get<Ffn::Saved>(saved.ffn)));
    products.run();
  }
  ffn_norm.backward_weight(ctx, std::move(saved.ffn_norm));
}

void DecoderLayer::attn_backward_weight(Context& ctx, Saved& saved) {
  attn.backward_weight(ctx, std::move(saved.attn));
  attn_norm.backward_weight(ctx, std::move(saved.attn_norm));
}

Tensor DecoderLayer::backward_input(Context& ctx, TokenDispatcher& dispatcher, Tensor dy,
                                    const Pass& pass, Saved& saved) const {
  combine_backward(ctx, dispatcher, std::move(dy), saved);
  experts_backward(ctx, dispatcher, pass, saved);
  dispatch_backward(ctx, dispatcher, saved);
  return attention_backward(ctx, pass, saved);
}

void DecoderLayer::backward_weight(Context& ctx, Saved&& saved) {
  Saved consumed = std::move(saved);
  ffn_backward_weight(ctx, consumed);
  attn_backward_weight(ctx, consumed);
}

}  // namespace hadal
