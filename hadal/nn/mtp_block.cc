#include "hadal/nn/mtp_block.h"

#include "hadal/ops/copy.h"

namespace hadal {

Tensor MtpBlock::joined(Context& ctx, const Tensor& e, const Tensor& h) const {
  const int64_t d_model = e.dim(1);
  Tensor result = ctx.empty({e.dim(0), 2 * d_model});
  copy_rows(ctx, result.mat().columns(0, d_model), e.mat());
  copy_rows(ctx, result.mat().columns(d_model, 2 * d_model), h.mat());
  return result;
}

Tensor MtpBlock::combine(Context& ctx, const Tensor& embedded, const Tensor& state,
                         Saved& saved) const {
  const Tensor e = enorm.forward(ctx, embedded, saved.enorm);
  const Tensor h = hnorm.forward(ctx, state, saved.hnorm);
  return w_eh.forward(ctx, joined(ctx, e, h));  // its input is formed again in backward
}

MtpBlock::Output MtpBlock::forward(Context& ctx, AttentionForm& form, TokenDispatcher& dispatcher,
                                   const Tensor& embedded, const Tensor& state, const Pass& pass,
                                   Saved& saved) const {
  auto [hidden, routing] =
      layer.forward(ctx, form, dispatcher, combine(ctx, embedded, state, saved), pass, saved.layer);
  Tensor normed = head_norm.forward(ctx, hidden, saved.head_norm);
  return {std::move(hidden), std::move(normed), std::move(routing)};
}

Tensor MtpBlock::head_backward_input(Context& ctx, Tensor dnormed, Tensor dhidden,
                                     Saved& saved) const {
  if (!dhidden.has_data())
    return head_norm.backward_input(ctx, std::move(dnormed), saved.head_norm);
  head_norm.backward_input_add(ctx, dhidden, std::move(dnormed), saved.head_norm);
  return dhidden;
}

MtpBlock::InputGradient MtpBlock::combine_backward_input(Context& ctx, Tensor dx,
                                                         Saved& saved) const {
  saved.w_eh.x = w_eh.input(
      ctx, joined(ctx, enorm.recompute(ctx, saved.enorm), hnorm.recompute(ctx, saved.hnorm)));
  const Tensor djoined = w_eh.backward_input(ctx, std::move(dx), saved.w_eh);
  const int64_t d_model = djoined.dim(1) / 2;
  Tensor de = ctx.empty({djoined.dim(0), d_model});
  Tensor dh = ctx.empty({djoined.dim(0), d_model});
  copy_rows(ctx, de.mat(), djoined.mat().columns(0, d_model));
  copy_rows(ctx, dh.mat(), djoined.mat().columns(d_model, 2 * d_model));
  return {enorm.backward_input(ctx, std::move(de), saved.enorm),
          hnorm.backward_input(ctx, std::move(dh), saved.hnorm)};
}

void MtpBlock::combine_backward_weight(Context& ctx, Saved& saved) {
  Products products{ctx};
  w_eh.backward_weight(products, std::move(saved.w_eh));
  products.run();
  enorm.backward_weight(ctx, std::move(saved.enorm));
  hnorm.backward_weight(ctx, std::move(saved.hnorm));
}

void MtpBlock::backward_weight(Context& ctx, Saved&& saved) {
  Saved consumed = std::move(saved);
  head_norm.backward_weight(ctx, std::move(consumed.head_norm));
  layer.backward_weight(ctx, std::move(consumed.layer));
  combine_backward_weight(ctx, consumed);
}

}  // namespace hadal
