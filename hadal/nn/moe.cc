// T tokens, E experts, K chosen per token, R rows of this place's experts, d = d_model, f = d_expert.
#include "hadal/nn/moe.h"

#include "hadal/nn/swiglu.h"
#include "hadal/ops/gemm.h"

namespace hadal {
namespace {

// Rows [R,d] of experts from the tokens that came.
Tensor gathered(Context& ctx, const KeptRows& tokens, const ExpertRows& rows) {
  const Tensor values = tokens.f32(ctx);
  Tensor result = ctx.empty({rows.n_rows(), values.dim(1)});
  gather_rows(ctx, result.mat(), values.mat(), rows);
  return result;
}

// What travels is rounded before: each token once, and codes take a quarter of the bytes. Where the
// weight gradient rounds the same tokens in another way, they travel as they are.
KeptRows sent_input(Context& ctx, const Tensor& x, const LinearPrecision& precision) {
  return precision.quantises_columns() ? KeptRows::as_is(x) : precision.rounded_input(ctx, x);
}
KeptRows sent_gradient(Context& ctx, const Tensor& dy, const LinearPrecision& precision) {
  return precision.quantises_columns() ? KeptRows::as_is(dy) : precision.rounded_gradient(ctx, dy);
}

}  // namespace

RoutingResult Moe::route(Context& ctx, const Tensor& x, int layer, const Pass& pass,
                         Saved& saved) const {
  const int64_t n_tokens = x.dim(0), n_experts = config.n_routed_experts;
  saved.scores = ctx.empty({n_tokens, n_experts});
  saved.gates = ctx.empty({n_tokens, config.top_k});
  saved.indices = ctx.empty({n_tokens, config.top_k}, DType::kI32);
  {
    Tensor logits = ctx.empty({n_tokens, n_experts});
    gemm_nt(ctx, logits.mat(), x.mat(),
            chooses_by.has_data() ? WeightView(chooses_by) : w_router.weight());
    const View<const float, 1> bias =
        route_bias.master.has_data() ? route_bias.master.vec() : View<const float, 1>();
    route_forward(ctx, saved.indices.view<int32_t, 2>(), saved.gates.mat(), saved.scores.mat(),
                  std::as_const(logits).mat(), bias, config);
    if (chooses_by.has_data()) {
      gemm_nt(ctx, logits.mat(), x.mat(), w_router.weight());
      route_chosen(ctx, saved.gates.mat(), saved.scores.mat(), std::as_const(logits).mat(),
                   std::as_const(saved.indices).view<int32_t, 2>(), config);
    }
  }
  RoutingResult result;
  result.chosen = saved.indices.to_host();
  saved.balance = pass.balance;
  if (pass.balance.on) {
    saved.sequences = pass.sequences;
    result.balance_loss = balance_loss(ctx, {}, saved) * double{pass.balance.loss_scale};
  }
  result.load = expert_load(std::as_const(result.chosen).view<int32_t, 2>(), n_experts);
  if (ctx.probe != nullptr) {
    ctx.probe->offer("router.indices", layer, result.chosen);
    ctx.probe->offer("router.gates", layer, saved.gates);
  }
  return result;
}

double Moe::balance_loss(Context& ctx, View<float, 2> dscores, const Saved& saved) const {
  const BalanceLoss& balance = saved.balance;
  return sequence_balance_loss(ctx, dscores, saved.scores.mat(), saved.indices.view<int32_t, 2>(),
                               saved.sequences, 1.0F, balance.alpha * balance.loss_scale,
                               balance.count, config);
}

RoutingResult Moe::dispatch(Context& ctx, TokenDispatcher& dispatcher, const Tensor& x, int layer,
                            const Pass& pass, Saved& saved) const {
  RoutingResult result = route(ctx, x, layer, pass, saved);
  saved.dispatch =
      dispatcher.plan(ctx, std::as_const(result.chosen).view<int32_t, 2>(), saved.gates, held());
  result.chosen = {};
  dispatcher.start_dispatch(ctx, sent_input(ctx, x, w_gate.precision), saved.dispatch);
  return result;
}

LinearInput Moe::expert_input(Context& ctx, const KeptRows& tokens, const ExpertRows& rows) const {
  const LinearPrecision& precision = w_gate.precision;
  const bool rounds_here = precision.quantises_columns();
  return LinearInput(KeptRows::as_is(
      gathered(ctx, rounds_here ? precision.rounded_input(ctx, tokens.f32(ctx)) : tokens.share(),
               rows),
      rounds_input_to_bf16(precision.products)));
}

LinearInput Moe::expert_gradient(Context& ctx, const KeptRows& tokens,
                                 const ExpertRows& rows) const {
  const LinearPrecision& precision = w_down.precision;
  const bool rounds_here = precision.quantises_columns();
  return LinearInput(KeptRows::as_is(
      gathered(ctx, rounds_here ? precision.rounded_gradient(ctx, tokens.f32(ctx)) : tokens.share(),
               rows),
      rounds_gradient_to_bf16(precision.products)));
}

LinearInput Moe::weight_gradient_input(Context& ctx, Saved& saved) const {
  const LinearPrecision& precision = w_gate.precision;
  const ExpertRows& rows = saved.dispatch.rows;
  const KeptRows tokens =
      saved.tokens.has_data() ? std::move(saved.tokens) : sent_input(ctx, saved.x, precision);
  if (!precision.quantises_columns()) return expert_input(ctx, tokens, rows);
  return LinearInput::of_groups(ctx, {}, gathered(ctx, tokens, rows), precision, rows.offsets);
}

void Moe::experts(Context& ctx, TokenDispatcher& dispatcher, const Tensor& x, const Pass& pass,
                  Saved& saved) const {
  Products products{ctx};
  Tensor gate, up;
  const std::vector<int64_t>& offsets = saved.dispatch.rows.offsets;
  {
    KeptRows tokens = dispatcher.finish_dispatch(ctx, saved.dispatch);
    const LinearInput x_rows = expert_input(ctx, tokens, saved.dispatch.rows);
    if (saved.dispatch.from_elsewhere) saved.tokens = std::move(tokens);
    gate = w_gate.forward(products, x_rows, offsets);
    up = w_up.forward(products, x_rows, offsets);
  }
  Ffn::GateUp of_shared;
  if (shared) of_shared = shared->forward_gate_up(products, x, pass.recompute, saved.shared);
  products.run();
  if (!pass.recompute.norm_outputs) saved.x = x.share();
  const Tensor h = swiglu(ctx, gate, up, swiglu_limit);
  saved.gate = w_down.precision.kept_swiglu_input(ctx, gate);
  saved.up = w_down.precision.kept_swiglu_input(ctx, up);
  const LinearInput h_rows = w_down.input(ctx, h);
  Tensor outputs = w_down.forward(products, h_rows, offsets);
  saved.y = shared
                ? shared->forward_down(products, std::move(of_shared), pass.recompute, saved.shared)
                : ctx.zeros(x.shape());
  products.run();
  if (!pass.recompute.swiglu_outputs) {
    saved.h = LinearInput::of_groups(ctx, h_rows.rows().share(), h, w_down.precision, offsets)
                  .for_weight_gradient();
  }
  dispatcher.start_combine(ctx, std::move(outputs), {}, Weights::kGates, saved.dispatch);
}

Tensor Moe::combine(Context& ctx, TokenDispatcher& dispatcher, Saved& saved) const {
  Tensor y = std::move(saved.y);
  dispatcher.finish_combine(ctx, y.mat(), saved.dispatch);
  return y;
}

KeptRows Moe::kept_gradient(Context& ctx, const KeptRows& sent) const {
  const LinearPrecision& precision = w_down.precision;
  return precision.quantises_columns() ? precision.kept_stream(ctx, sent.f32(ctx)) : sent.share();
}

void Moe::combine_backward(Context& ctx, TokenDispatcher& dispatcher, Tensor dy,
                           Saved& saved) const {
  KeptRows sent = sent_gradient(ctx, dy, w_down.precision);
  saved.dy = kept_gradient(ctx, sent);
  dispatcher.start_dispatch(ctx, std::move(sent), saved.dispatch);
  if (shared && shared->w_down.precision != w_down.precision) {
    saved.dy_of_shared = KeptRows::as_is(dy);
  }
}

void Moe::experts_backward(Context& ctx, TokenDispatcher& dispatcher, const Tensor& x_again,
                           Saved& saved) const {
  if (x_again.has_data()) saved.x = x_again.share();
  const ExpertRows& rows = saved.dispatch.rows;
  const std::vector<int64_t>& offsets = rows.offsets;
  const Tensor gate = saved.gate.f32(ctx), up = saved.up.f32(ctx);
  Products products{ctx};
  Tensor dgate = ctx.empty(gate.shape());  // first dh, then dgate in its place
  KeptRows dy = dispatcher.finish_dispatch(ctx, saved.dispatch);
  w_down.backward_input(products, dgate, expert_gradient(ctx, dy, rows), offsets);
  if (shared) {
    const KeptRows& of_shared = saved.dy_of_shared.has_data() ? saved.dy_of_shared : saved.dy;
    shared->backward_down(products, of_shared.f32(ctx), x_again, saved.shared);
    saved.dy_of_shared = {};
  }
  if (saved.dispatch.from_elsewhere) saved.dy = kept_gradient(ctx, dy);
  dy = {};
  products.run();
  saved.row_gates = ctx.empty({gate.dim(0)});
  choices_to_rows(ctx, saved.row_gates.vec(), std::as_const(saved.dispatch.gates).mat(), rows);
  Tensor row_dgates = ctx.empty({gate.dim(0)});
  {
    const Tensor h = swiglu(ctx, gate, up, swiglu_limit);
    gate_backward(ctx, row_dgates.vec(), dgate.mat(), h.mat(),
                  std::as_const(saved.row_gates).vec());
  }
  Tensor dup = ctx.empty(up.shape());
  swiglu_backward(ctx, dgate.mat(), dup.mat(), std::as_const(dgate).mat(), gate.mat(), up.mat(),
                  swiglu_limit);
  saved.dgate = w_gate.gradient(ctx, dgate, offsets);
  saved.dup = w_up.gradient(ctx, dup, offsets);

  Tensor dx_rows = ctx.empty({gate.dim(0), w_down.d_out()});
  w_gate.backward_input(products, dx_rows, saved.dgate, offsets);
  saved.dx = shared ? shared->backward_gate(products, saved.shared)
                    : ctx.zeros({saved.gates.dim(0), w_down.d_out()});
  products.run();
  w_up.backward_input(products, dx_rows, saved.dup, offsets, /*accumulate=*/true);
  if (shared) shared->backward_up_add(products, saved.dx, saved.shared);
  products.run();
  saved.dgate = saved.dgate.for_weight_gradient();
  saved.dup = saved.dup.for_weight_gradient();
  dispatcher.start_combine(ctx, std::move(dx_rows), std::move(row_dgates), Weights::kNone,
                           saved.dispatch);
}

Tensor Moe::dispatch_backward(Context& ctx, TokenDispatcher& dispatcher, Saved& saved) const {
  Tensor dx = std::move(saved.dx);
  const Tensor dgates = dispatcher.finish_combine(ctx, dx.mat(), saved.dispatch);
  saved.dlogits = ctx.empty(saved.scores.shape());
  Tensor dscores;
  if (saved.balance.on && saved.balance.alpha != 0.0F) {
    dscores = ctx.zeros(saved.scores.shape());
    balance_loss(ctx, dscores.mat(), saved);
  }
  route_backward(ctx, saved.dlogits.mat(), dgates.mat(),
                 dscores.has_data() ? std::as_const(dscores).mat() : View<const float, 2>(),
                 std::as_const(saved.scores).mat(), std::as_const(saved.indices).view<int32_t, 2>(),
                 config);
  gemm_nn(ctx, dx.mat(), std::as_const(saved.dlogits).mat(), w_router.weight(), 1.0F);
  saved.scores = {};
  saved.indices = {};
  return dx;
}

// Each part's operands are given back before the next part needs room.
void Moe::backward_weight(Context& ctx, Saved&& saved) {
  Saved consumed = std::move(saved);
  const ExpertRows& rows = consumed.dispatch.rows;
  const std::vector<int64_t>& offsets = rows.offsets;
  Products products{ctx};
  products.weight_gradients.push_back({w_router.grad.mat(), std::as_const(consumed.dlogits).mat(),
                                       std::as_const(consumed.x).mat()});
  if (shared) shared->backward_weight(products, std::move(consumed.shared));
  products.run();
  {
    const LinearInput x_rows = weight_gradient_input(ctx, consumed);
    consumed.x = {};
    const LinearInput dgate = std::move(consumed.dgate), dup = std::move(consumed.dup);
    w_gate.backward_weight(products, dgate, x_rows, offsets);
    w_up.backward_weight(products, dup, x_rows, offsets);
  }
  products.run();
  // The rows' gradient of y is g dy, as combine weighted the outputs.
  Tensor dy_rows = gathered(ctx, consumed.dy, rows);
  consumed.dy = {};
  scale_rows(ctx, dy_rows.mat(), std::as_const(consumed.row_gates).vec());
  if (!consumed.h.has_data()) {
    const Tensor h = swiglu(ctx, consumed.gate.f32(ctx), consumed.up.f32(ctx), swiglu_limit);
    consumed.h = LinearInput::of_groups(ctx, w_down.precision.rounded_input(ctx, h), h,
                                        w_down.precision, offsets);
  }
  consumed.gate = {};
  consumed.up = {};
  KeptRows weighted = trains_in_bf16(w_down.precision.products) ? KeptRows::bf16_of(ctx, dy_rows)
                                                                : KeptRows::as_is(dy_rows);
  w_down.backward_weight(products, LinearInput(std::move(weighted)), consumed.h, offsets);
  products.run();
}

}  // namespace hadal
