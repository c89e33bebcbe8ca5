// T tokens, E experts, K chosen per token, R rows of this place's experts, d = d_model, f = d_expert.
#include "hadal/nn/moe.h"

#include "hadal/nn/swiglu.h"
#include "hadal/ops/gemm.h"

namespace hadal {
namespace {

Tensor dispatched(Context& ctx, TokenDispatcher& dispatcher, const Tensor& tokens,
                  Dispatch& dispatch) {
  dispatcher.start_dispatch(ctx, tokens, dispatch);
  return dispatcher.finish_dispatch(ctx, dispatch);
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
    gemm_nt(ctx, logits.mat(), x.mat(), w_router.weight());
    const View<const float, 1> bias =
        route_bias.master.has_data() ? route_bias.master.vec() : View<const float, 1>();
    route_forward(ctx, saved.indices.view<int32_t, 2>(), saved.gates.mat(), saved.scores.mat(),
                  std::as_const(logits).mat(), bias, config);
  }
  const auto indices = std::as_const(saved.indices).view<int32_t, 2>();
  RoutingResult result;
  result.chosen = saved.indices.to_host();
  if (const BalanceLoss& balance = pass.balance; balance.on) {
    const bool with_gradient = balance.alpha != 0.0F;
    if (with_gradient) saved.dscores = ctx.zeros({n_tokens, n_experts});
    const double loss =
        sequence_balance_loss(ctx, with_gradient ? saved.dscores.mat() : View<float, 2>(),
                              std::as_const(saved.scores).mat(), indices, pass.sequences, 1.0F,
                              balance.alpha * balance.loss_scale, balance.count, config);
    result.balance_loss = loss * double{balance.loss_scale};
  }
  result.load = expert_load(std::as_const(result.chosen).view<int32_t, 2>(), n_experts);
  if (ctx.probe != nullptr) {
    ctx.probe->offer("router.indices", layer, result.chosen);
    ctx.probe->offer("router.gates", layer, saved.gates);
  }
  return result;
}

RoutingResult Moe::dispatch(Context& ctx, TokenDispatcher& dispatcher, const Tensor& x, int layer,
                            const Pass& pass, Saved& saved) const {
  RoutingResult result = route(ctx, x, layer, pass, saved);
  saved.dispatch = dispatcher.plan(ctx, std::as_const(result.chosen).view<int32_t, 2>(), range);
  result.chosen = {};
  dispatcher.start_dispatch(ctx, x, saved.dispatch);
  return result;
}

void Moe::experts(Context& ctx, TokenDispatcher& dispatcher, const Tensor& x, const Pass& pass,
                  Saved& saved) const {
  const std::vector<int64_t>& offsets = saved.dispatch.rows.offsets;
  Products products{ctx};
  {
    const LinearInput x_rows = w_gate.input(ctx, dispatcher.finish_dispatch(ctx, saved.dispatch));
    saved.gate = w_gate.forward(products, x_rows, offsets);
    saved.up = w_up.forward(products, x_rows, offsets);
  }
  if (shared) shared->forward_gate_up(products, x, pass.recompute, saved.shared);
  products.run();
  if (!pass.recompute.norm_outputs) saved.x = x.share();
  Tensor h = swiglu(ctx, saved.gate, saved.up);
  Tensor outputs = w_down.forward(products, w_down.input(ctx, h), offsets);
  saved.y =
      shared ? shared->forward_down(products, pass.recompute, saved.shared) : ctx.zeros(x.shape());
  products.run();
  if (!pass.recompute.swiglu_outputs) saved.h = std::move(h);
  dispatcher.start_combine(ctx, std::move(outputs), saved.dispatch);
}

Tensor Moe::combine(Context& ctx, TokenDispatcher& dispatcher, Saved& saved) const {
  Tensor y = std::move(saved.y);
  dispatcher.finish_combine(ctx, y.mat(), std::as_const(saved.gates).mat(), saved.dispatch);
  return y;
}

void Moe::combine_backward(Context& ctx, TokenDispatcher& dispatcher, Tensor dy,
                           Saved& saved) const {
  saved.row_gates = dispatcher.to_rows(ctx, saved.gates, saved.dispatch);
  dispatcher.start_dispatch(ctx, dy, saved.dispatch);
  saved.dy = std::move(dy);
}

void Moe::experts_backward(Context& ctx, TokenDispatcher& dispatcher, const Tensor& x_again,
                           Saved& saved) const {
  if (x_again.has_data()) saved.x = x_again.share();
  const std::vector<int64_t>& offsets = saved.dispatch.rows.offsets;
  const Tensor &gate = saved.gate, &up = saved.up;
  Products products{ctx};
  saved.dgate = ctx.empty(gate.shape());  // first dh, then dgate in its place
  w_down.backward_input(products, saved.dgate, dispatcher.finish_dispatch(ctx, saved.dispatch),
                        offsets);
  if (shared) shared->backward_down(products, saved.dy.share(), x_again, saved.shared);
  products.run();
  Tensor row_dgates = ctx.empty({gate.dim(0)});
  {
    const Tensor h = saved.h.has_data() ? saved.h.share() : swiglu(ctx, gate, up);
    gate_backward(ctx, row_dgates.vec(), saved.dgate.mat(), h.mat(),
                  std::as_const(saved.row_gates).vec());
  }
  saved.dgates = dispatcher.to_choices(ctx, row_dgates, saved.dispatch);
  saved.dup = ctx.empty(up.shape());
  swiglu_backward(ctx, saved.dgate.mat(), saved.dup.mat(), std::as_const(saved.dgate).mat(),
                  gate.mat(), up.mat());

  Tensor dx_rows = ctx.empty({gate.dim(0), saved.dy.dim(1)});
  w_gate.backward_input(products, dx_rows, saved.dgate, offsets);
  saved.dx = shared ? shared->backward_gate(products, saved.shared) : ctx.zeros(saved.dy.shape());
  products.run();
  w_up.backward_input(products, dx_rows, saved.dup, offsets, /*accumulate=*/true);
  if (shared) shared->backward_up_add(products, saved.dx, saved.shared);
  products.run();
  dispatcher.start_combine(ctx, std::move(dx_rows), saved.dispatch);
}

Tensor Moe::dispatch_backward(Context& ctx, TokenDispatcher& dispatcher, Saved& saved) const {
  Tensor dx = std::move(saved.dx);
  dispatcher.finish_combine(ctx, dx.mat(), {}, saved.dispatch);
  saved.dlogits = ctx.empty(saved.scores.shape());
  const View<const float, 2> dscores =
      saved.dscores.has_data() ? std::as_const(saved.dscores).mat() : View<const float, 2>();
  route_backward(ctx, saved.dlogits.mat(), std::as_const(saved.dgates).mat(), dscores,
                 std::as_const(saved.scores).mat(), std::as_const(saved.indices).view<int32_t, 2>(),
                 config);
  gemm_nn(ctx, dx.mat(), std::as_const(saved.dlogits).mat(), w_router.weight(), 1.0F);
  saved.scores = {};
  saved.dscores = {};
  saved.indices = {};
  saved.dgates = {};
  return dx;
}

// Each part's operands are given back before the next part needs room.
void Moe::backward_weight(Context& ctx, TokenDispatcher& dispatcher, Saved&& saved) {
  Saved consumed = std::move(saved);
  const std::vector<int64_t>& offsets = consumed.dispatch.rows.offsets;
  Products products{ctx};
  products.weight_gradients.push_back({w_router.grad.mat(), std::as_const(consumed.dlogits).mat(),
                                       std::as_const(consumed.x).mat()});
  if (shared) shared->backward_weight(products, std::move(consumed.shared));
  products.run();
  {
    const LinearInput x_rows =
        w_gate.input(ctx, dispatched(ctx, dispatcher, consumed.x, consumed.dispatch));
    consumed.x = {};
    const Tensor dgate = std::move(consumed.dgate), dup = std::move(consumed.dup);
    w_gate.backward_weight(products, dgate, x_rows, offsets);
    w_up.backward_weight(products, dup, x_rows, offsets);
  }
  products.run();
  // The rows' gradient of y is g dy, as combine weighted the outputs.
  Tensor dy_rows = dispatched(ctx, dispatcher, consumed.dy, consumed.dispatch);
  consumed.dy = {};
  scale_rows(ctx, dy_rows.mat(), std::as_const(consumed.row_gates).vec());
  const Tensor h =
      consumed.h.has_data() ? std::move(consumed.h) : swiglu(ctx, consumed.gate, consumed.up);
  consumed.gate = {};
  consumed.up = {};
  w_down.backward_weight(products, dy_rows, w_down.input(ctx, h), offsets);
  products.run();
}

}  // namespace hadal
