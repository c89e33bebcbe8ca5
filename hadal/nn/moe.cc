// T tokens, E experts, K chosen per token, R = T*K expert rows, d = d_model, f = d_expert.
#include "hadal/nn/moe.h"

#include <algorithm>
#include <numeric>

#include "hadal/ops/gemm.h"
#include "hadal/ops/grouped_gemm.h"
#include "hadal/ops/swiglu.h"

namespace hadal {
namespace {

Tensor swiglu(Context& ctx, const Tensor& gate, const Tensor& up) {
  Tensor h = ctx.empty(gate.shape());
  swiglu_forward(ctx, h.mat(), gate.mat(), up.mat());
  return h;
}

Tensor gathered(Context& ctx, const Tensor& x, const ExpertRows& rows) {
  Tensor result = ctx.empty({rows.n_rows(), x.dim(1)});
  gather_rows(ctx, result.mat(), x.mat(), rows);
  return result;
}

}  // namespace

void Moe::Saved::drop_input() {
  x = {};
  shared.drop_input();
}

void Moe::Saved::restore_input(const Tensor& input, bool has_shared) {
  x = input.share();
  if (has_shared) shared.restore_input(input);
}

std::vector<WeightView> Moe::weights(Param Expert::*which) const {
  std::vector<WeightView> result;
  result.reserve(experts.size());
  for (const Expert& expert : experts) result.push_back((expert.*which).weight());
  return result;
}

std::vector<View<float, 2>> Moe::gradients(Param Expert::*which) {
  std::vector<View<float, 2>> result;
  result.reserve(experts.size());
  for (Expert& expert : experts) result.push_back((expert.*which).grad.mat());
  return result;
}

void Moe::route(Context& ctx, const Tensor& x, int layer, const Sequences& sequences,
                const BalanceLoss& balance, Saved& saved) const {
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
  if (balance.on) {
    const bool with_gradient = balance.alpha != 0.0F;
    if (with_gradient) saved.dscores = ctx.zeros({n_tokens, n_experts});
    const double loss =
        sequence_balance_loss(ctx, with_gradient ? saved.dscores.mat() : View<float, 2>(),
                              std::as_const(saved.scores).mat(), indices, sequences, 1.0F,
                              balance.alpha * balance.loss_scale, balance.count, config);
    saved.balance_loss = loss * double{balance.loss_scale};
  }
  saved.rows = ExpertRows::from(indices, n_experts);
  saved.load.resize(static_cast<size_t>(n_experts));
  for (size_t e = 0; e < saved.load.size(); ++e) {
    saved.load[e] = saved.rows.offsets[e + 1] - saved.rows.offsets[e];
  }
  if (ctx.probe != nullptr) {
    ctx.probe->offer("router.indices", layer, saved.indices);
    ctx.probe->offer("router.gates", layer, saved.gates);
  }
}

Tensor Moe::forward(Context& ctx, const Tensor& x, int layer, const Sequences& sequences,
                    const BalanceLoss& balance, Saved& saved) const {
  saved.x = x.share();
  route(ctx, x, layer, sequences, balance, saved);
  const ExpertRows& rows = saved.rows;
  const int64_t d_expert = experts.front().w_gate.master.dim(0);

  saved.gate = ctx.empty({rows.n_rows(), d_expert});
  saved.up = ctx.empty({rows.n_rows(), d_expert});
  {
    const Tensor x_rows = gathered(ctx, linear_input(ctx, x, experts.front().w_gate), rows);
    grouped_gemm_nt(ctx, saved.gate.mat(), x_rows.mat(), weights(&Expert::w_gate), rows.offsets);
    grouped_gemm_nt(ctx, saved.up.mat(), x_rows.mat(), weights(&Expert::w_up), rows.offsets);
  }
  Tensor y = shared ? shared->forward(ctx, x, saved.shared) : ctx.zeros(x.shape());
  Tensor outputs = ctx.empty({rows.n_rows(), x.dim(1)});
  {
    const Tensor h = linear_input(ctx, swiglu(ctx, saved.gate, saved.up), experts.front().w_down);
    grouped_gemm_nt(ctx, outputs.mat(), h.mat(), weights(&Expert::w_down), rows.offsets);
  }
  combine_rows(ctx, y.mat(), std::as_const(outputs).mat(), std::as_const(saved.gates).mat(), rows);
  return y;
}

Tensor Moe::backward_input(Context& ctx, Tensor dy, Saved& saved) const {
  const ExpertRows& rows = saved.rows;
  const Tensor &gate = saved.gate, &up = saved.up;
  Tensor dgates = ctx.empty(saved.gates.shape());
  saved.dgate = ctx.empty(gate.shape());  // first dh, then dgate in its place
  {
    const Tensor dy_rows = gathered(ctx, dy, rows);
    grouped_gemm_nn(ctx, saved.dgate.mat(), dy_rows.mat(), weights(&Expert::w_down), rows.offsets);
  }
  gate_backward(ctx, dgates.mat(), saved.dgate.mat(), swiglu(ctx, gate, up).mat(),
                std::as_const(saved.gates).mat(), rows);
  saved.dup = ctx.empty(up.shape());
  swiglu_backward(ctx, saved.dgate.mat(), saved.dup.mat(), std::as_const(saved.dgate).mat(),
                  gate.mat(), up.mat());

  Tensor dx =
      shared ? shared->backward_input(ctx, dy.share(), saved.shared) : ctx.zeros(dy.shape());
  {
    Tensor dx_rows = ctx.empty({rows.n_rows(), dy.dim(1)});
    grouped_gemm_nn(ctx, dx_rows.mat(), std::as_const(saved.dgate).mat(), weights(&Expert::w_gate),
                    rows.offsets);
    grouped_gemm_nn(ctx, dx_rows.mat(), std::as_const(saved.dup).mat(), weights(&Expert::w_up),
                    rows.offsets, 1.0F);
    gather_rows_backward(ctx, dx.mat(), std::as_const(dx_rows).mat(), rows);
  }
  saved.dlogits = ctx.empty(saved.scores.shape());
  const View<const float, 2> dscores =
      saved.dscores.has_data() ? std::as_const(saved.dscores).mat() : View<const float, 2>();
  route_backward(ctx, saved.dlogits.mat(), std::as_const(dgates).mat(), dscores,
                 std::as_const(saved.scores).mat(), std::as_const(saved.indices).view<int32_t, 2>(),
                 config);
  gemm_nn(ctx, dx.mat(), std::as_const(saved.dlogits).mat(), w_router.weight(), 1.0F);
  saved.scores = {};
  saved.dscores = {};
  saved.indices = {};
  saved.dy = std::move(dy);
  return dx;
}

// Each part's operands are given back before the next part needs room.
void Moe::backward_weight(Context& ctx, Saved&& saved) {
  Saved consumed = std::move(saved);
  const ExpertRows& rows = consumed.rows;
  gemm_tn(ctx, w_router.grad.mat(), std::as_const(consumed.dlogits).mat(),
          std::as_const(consumed.x).mat());
  if (shared) shared->backward_weight(ctx, std::move(consumed.shared));
  {
    const Tensor x_rows = gathered(ctx, consumed.x, rows);
    consumed.x = {};
    const Tensor dgate = std::move(consumed.dgate), dup = std::move(consumed.dup);
    grouped_gemm_tn(ctx, gradients(&Expert::w_gate), dgate.mat(), x_rows.mat(), rows.offsets);
    grouped_gemm_tn(ctx, gradients(&Expert::w_up), dup.mat(), x_rows.mat(), rows.offsets);
  }
  // The rows' gradient of y is g_k dy, as combine_rows weighted the outputs.
  Tensor dy_rows = gathered(ctx, consumed.dy, rows);
  consumed.dy = {};
  scale_rows_by_gate(ctx, dy_rows.mat(), std::as_const(consumed.gates).mat(), rows);
  const Tensor h = swiglu(ctx, consumed.gate, consumed.up);
  consumed.gate = {};
  consumed.up = {};
  grouped_gemm_tn(ctx, gradients(&Expert::w_down), std::as_const(dy_rows).mat(), h.mat(),
                  rows.offsets);
}

void update_route_bias(Param& route_bias, std::span<const int64_t> load, float gamma) {
  const auto bias = route_bias.master.flat<float>();
  if (load.size() != bias.size()) {
    throw ShapeError(
        concat("update_route_bias: ", load.size(), " loads for ", bias.size(), " experts"));
  }
  // Compared as E * load_i with the sum: whole numbers, so equal is equal.
  const int64_t total = std::accumulate(load.begin(), load.end(), int64_t{0});
  const auto n_experts = static_cast<int64_t>(load.size());
  for (size_t e = 0; e < load.size(); ++e) {
    const int64_t excess = load[e] * n_experts - total;
    if (excess < 0) bias[e] += gamma;
    if (excess > 0) bias[e] -= gamma;
  }
}

double max_violation(std::span<const int64_t> load) {
  const int64_t total = std::accumulate(load.begin(), load.end(), int64_t{0});
  if (total == 0) return 0.0;
  const double mean = static_cast<double>(total) / static_cast<double>(load.size());
  return static_cast<double>(*std::max_element(load.begin(), load.end())) / mean - 1.0;
}

}  // namespace hadal
