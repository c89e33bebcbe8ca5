#include "hadal/ops/router.h"

#include "hadal/kernels/router.h"

namespace hadal {
namespace {

// The settings make sense together; otherwise a kernel could not find top_k different experts.
void expect_config(const RouterConfig& config, int64_t n_experts) {
  const bool groups_fit = config.n_group >= 1 && n_experts % config.n_group == 0 &&
                          config.topk_group >= 1 && config.topk_group <= config.n_group;
  const bool grouped = config.method != TopkMethod::kGreedy;
  const int64_t reachable =
      grouped && groups_fit ? config.topk_group * (n_experts / config.n_group) : n_experts;
  if (n_experts != config.n_routed_experts || (grouped && !groups_fit) || config.top_k < 1 ||
      config.top_k > reachable) {
    throw ShapeError(concat("router: ", n_experts, " logits do not fit n_routed_experts ",
                            config.n_routed_experts, ", top_k ", config.top_k, ", n_group ",
                            config.n_group, ", topk_group ", config.topk_group));
  }
}

}  // namespace

void route_forward(Context& ctx, View<int32_t, 2> indices, View<float, 2> gates,
                   View<float, 2> scores, View<const float, 2> logits,
                   View<const float, 1> route_bias, const RouterConfig& config) {
  const int64_t T = logits.dim(0), E = logits.dim(1);
  expect_config(config, E);
  expect_shape(indices, {T, config.top_k}, "router indices");
  expect_shape(gates, {T, config.top_k}, "router gates");
  expect_shape(scores, {T, E}, "router scores");
  if (config.method == TopkMethod::kNoauxTc) expect_shape(route_bias, {E}, "router route_bias");
  switch (ctx.device) {
    case Device::kReference:
      reference::router_scores<float>(scores, logits, config.scoring);
      reference::router_choose<float>(indices, scores, route_bias, config);
      return reference::router_gates<float>(gates, scores, indices, config);
    case Device::kCpu:
      return cpu::route_forward(ctx.pool, indices, gates, scores, logits, route_bias, config);
    case Device::kCuda:
      return cuda::route_forward(*ctx.stream, indices, gates, scores, logits, route_bias, config);
  }
}

void route_chosen(Context& ctx, View<float, 2> gates, View<float, 2> scores,
                  View<const float, 2> logits, View<const int32_t, 2> indices,
                  const RouterConfig& config) {
  expect_config(config, logits.dim(1));
  expect_shape(scores, logits.shape(), "router scores");
  expect_shape(indices, {logits.dim(0), config.top_k}, "router indices");
  expect_shape(gates, indices.shape(), "router gates");
  if (ctx.device == Device::kCuda) {
    throw Unavailable("router: experts chosen elsewhere have no gates on a card; use the CPU");
  }
  // Of the few values a token has here the plain loops are the fast ones.
  reference::router_scores<float>(scores, logits, config.scoring);
  reference::router_gates<float>(gates, scores, indices, config);
}

void route_backward(Context& ctx, View<float, 2> dlogits, View<const float, 2> dgates,
                    View<const float, 2> dscores_extra, View<const float, 2> scores,
                    View<const int32_t, 2> indices, const RouterConfig& config) {
  expect_config(config, scores.dim(1));
  expect_shape(dlogits, scores.shape(), "router dlogits");
  expect_shape(indices, {scores.dim(0), config.top_k}, "router indices");
  expect_shape(dgates, {scores.dim(0), config.top_k}, "router dgates");
  if (dscores_extra.data()) expect_shape(dscores_extra, scores.shape(), "router dscores_extra");
  switch (ctx.device) {
    case Device::kReference:
      return reference::route_backward<float>(dlogits, dgates, dscores_extra, scores, indices,
                                              config);
    case Device::kCpu:
      return cpu::route_backward(ctx.pool, dlogits, dgates, dscores_extra, scores, indices, config);
    case Device::kCuda:
      return cuda::route_backward(*ctx.stream, dlogits, dgates, dscores_extra, scores, indices,
                                  config);
  }
}

double sequence_balance_loss(Context& ctx, View<float, 2> dscores, View<const float, 2> scores,
                             View<const int32_t, 2> indices, const Sequences& sequences,
                             float alpha, float loss_scale, BalanceCount count,
                             const RouterConfig& config) {
  expect_config(config, scores.dim(1));
  expect_shape(scores, {sequences.tokens(), scores.dim(1)}, "balance loss scores");
  expect_shape(indices, {scores.dim(0), config.top_k}, "balance loss indices");
  if (dscores.data()) expect_shape(dscores, scores.shape(), "balance loss dscores");
  switch (ctx.device) {
    case Device::kReference:
      return reference::sequence_balance_loss<float>(dscores, scores, indices, sequences.offsets,
                                                     alpha, loss_scale, count, config.top_k);
    case Device::kCpu:
      return cpu::sequence_balance_loss(ctx.pool, dscores, scores, indices, sequences.offsets,
                                        alpha, loss_scale, count, config.top_k);
    case Device::kCuda:
      break;
  }
  return cuda::sequence_balance_loss(*ctx.stream, dscores, scores, indices, sequences.offsets,
                                     alpha, loss_scale, count, config.top_k);
}

}  // namespace hadal
