// The normed inputs of attention and ffn are not kept from F to B: recomputing a norm costs one
// pass over [T,d], keeping it costs [T,d] per layer (spec 03, section 3).
#include "hadal/nn/decoder_layer.h"

#include "hadal/ops/elementwise.h"

namespace hadal {

Tensor DecoderLayer::forward(Context& ctx, Tensor x, const Pass& pass, Saved& saved) const {
  Tensor mid = attn.forward(ctx, attn_norm.forward(ctx, x, saved.attn_norm), pass.sequences,
                            pass.rope, saved.attn);
  saved.attn.drop_input();
  add(ctx, mid.flat<float>(), std::as_const(x).flat<float>());

  const Tensor normed = ffn_norm.forward(ctx, mid, saved.ffn_norm);
  Tensor y;
  if (const Moe* experts = moe()) {
    auto& moe_saved = saved.ffn.emplace<Moe::Saved>();
    y = experts->forward(ctx, normed, index, pass.sequences, pass.balance, moe_saved);
    moe_saved.drop_input();
  } else {
    auto& ffn_saved = saved.ffn.emplace<Ffn::Saved>();
    y = std::get<Ffn>(ffn).forward(ctx, normed, ffn_saved);
    ffn_saved.drop_input();
  }
  add(ctx, y.flat<float>(), std::as_const(mid).flat<float>());
  return y;
}

Tensor DecoderLayer::ffn_backward_input(Context& ctx, Tensor dy, Saved& saved) const {
  const Tensor normed = ffn_norm.recompute(ctx, saved.ffn_norm);
  Tensor dx = dy.clone(ctx.arena);  // dy itself waits for W
  Tensor dnormed;
  if (const Moe* experts = moe()) {
    auto& moe_saved = std::get<Moe::Saved>(saved.ffn);
    moe_saved.restore_input(normed, experts->shared.has_value());
    dnormed = experts->backward_input(ctx, std::move(dy), moe_saved);
  } else {
    auto& ffn_saved = std::get<Ffn::Saved>(saved.ffn);
    ffn_saved.restore_input(normed);
    dnormed = std::get<Ffn>(ffn).backward_input(ctx, std::move(dy), ffn_saved);
  }
  ffn_norm.backward_input_add(ctx, dx, std::move(dnormed), saved.ffn_norm);
  return dx;
}

void DecoderLayer::ffn_backward_weight(Context& ctx, Saved& saved) {
  if (Moe* experts = moe()) {
    experts->backward_weight(ctx, std::move(std::get<Moe::Saved>(saved.ffn)));
  } else {
    std::get<Ffn>(ffn).backward_weight(ctx, std::move(std::get<Ffn::Saved>(saved.ffn)));
  }
  ffn_norm.backward_weight(ctx, std::move(saved.ffn_norm));
}

Tensor DecoderLayer::attn_backward_input(Context& ctx, Tensor dy, const Pass& pass,
                                         Saved& saved) const {
  saved.attn.restore_input(attn_norm.recompute(ctx, saved.attn_norm), attn.w_dq.has_value());
  Tensor dx = dy.clone(ctx.arena);
  Tensor dnormed = attn.backward_input(ctx, std::move(dy), pass.sequences, pass.rope, saved.attn);
  attn_norm.backward_input_add(ctx, dx, std::move(dnormed), saved.attn_norm);
  return dx;
}

void DecoderLayer::attn_backward_weight(Context& ctx, Saved& saved) {
  attn.backward_weight(ctx, std::move(saved.attn));
  attn_norm.backward_weight(ctx, std::move(saved.attn_norm));
}

Tensor DecoderLayer::backward_input(Context& ctx, Tensor dy, const Pass& pass, Saved& saved) const {
  Tensor dmid = ffn_backward_input(ctx, std::move(dy), saved);
  return attn_backward_input(ctx, std::move(dmid), pass, saved);
}

void DecoderLayer::backward_weight(Context& ctx, Saved&& saved) {
  Saved consumed = std::move(saved);
  ffn_backward_weight(ctx, consumed);
  attn_backward_weight(ctx, consumed);
}

Tensor DecoderLayer::backward(Context& ctx, Tensor dy, const Pass& pass, Saved&& saved) {
  Saved consumed = std::move(saved);
  Tensor dmid = ffn_backward_input(ctx, std::move(dy), consumed);
  ffn_backward_weight(ctx, consumed);
  Tensor dx = attn_backward_input(ctx, std::move(dmid), pass, consumed);
  attn_backward_weight(ctx, consumed);
  return dx;
}

}  // namespace hadal
