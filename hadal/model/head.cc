#include "hadal/model/head.h"

#include <algorithm>

#include "hadal/ops/cross_entropy.h"
#include "hadal/ops/embedding.h"
#include "hadal/ops/gemm.h"

namespace hadal {

void expect_positions(const DeepseekV3& model, int64_t n_positions) {
  if (n_positions > model.rope.n_positions()) {
    throw ShapeError(concat("model: a sequence of ", n_positions,
                            " tokens, but the rotary table has ", model.rope.n_positions(),
                            " positions; call ensure_rope first"));
  }
}

void check_tokens(const DeepseekV3& model, size_t n_tokens, const Sequences& sequences) {
  if (static_cast<int64_t>(n_tokens) != sequences.tokens()) {
    throw ShapeError(concat("model: ", n_tokens, " tokens for ", sequences.tokens(), " rows"));
  }
  for (int64_t s = 0; s < sequences.n(); ++s) {
    expect_positions(model, sequences.length(s));
  }
}

Tensor embed(Context& ctx, const DeepseekV3& model, std::span<const int32_t> tokens) {
  Tensor x = ctx.empty({static_cast<int64_t>(tokens.size()), model.config.d_model});
  embedding_forward(ctx, x.mat(), model.embedding.weight(), tokens);
  return x;
}

void head_forward(Context& ctx, View<float, 2> logits, const DeepseekV3& model,
                  View<const float, 2> normed) {
  gemm_nt(ctx, logits, normed, model.head_param().weight());
}

Tensor head_logits(Context& ctx, const DeepseekV3& model, View<const float, 2> normed) {
  Tensor logits = ctx.empty({normed.dim(0), model.config.vocab_size});
  head_forward(ctx, logits.mat(), model, normed);
  return logits;
}

// Cross entropy of all rows, summed, times `scale`. Turns logits into the loss's gradient.
static double head_loss(Context& ctx, View<float, 2> logits, std::span<const int32_t> targets,
                        double scale, float gradient_scale) {
  Tensor loss = ctx.empty({logits.dim(0)});
  cross_entropy_forward_backward(ctx, loss.vec(), logits, targets, gradient_scale);
  double sum = 0.0;
  const Tensor on_host = loss.to_host();
  for (const float each : on_host.flat<float>()) sum += double{each};
  return sum * scale;
}

double head_losses(Context& ctx, const DeepseekV3& model, const HeadRows& head, double per_target,
                   UseGradient use_gradient) {
  double loss = 0.0;
  const auto n_rows = static_cast<int64_t>(head.targets.size());
  for (int64_t begin = 0; begin < n_rows; begin += kHeadChunkRows) {
    const int64_t end = std::min(begin + kHeadChunkRows, n_rows);
    Tensor logits = head_logits(ctx, model, head.normed.mat().rows(begin, end));
    const auto targets = std::span(head.targets)
                             .subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
    loss += head_loss(ctx, logits.mat(), targets, per_target,
                      static_cast<float>(head.weight * per_target));
    use_gradient(std::as_const(logits).mat(), begin, end);
  }
  return loss;
}

void head_backward_input(Context& ctx, View<float, 2> dnormed, const DeepseekV3& model,
                         View<const float, 2> dlogits) {
  gemm_nn(ctx, dnormed, dlogits, model.head_param().weight());
}

void head_backward_weight(Context& ctx, DeepseekV3& model, View<const float, 2> dlogits,
                          View<const float, 2> normed) {
  gemm_tn(ctx, model.head_param().grad.mat(), dlogits, normed);
}

}  // namespace hadal
