#include "hadal/infer/compare.h"

#include <algorithm>
#include <numeric>

#include "hadal/infer/scored_windows.h"
#include "hadal/ops/argmax.h"
#include "hadal/ops/cross_entropy.h"
#include "hadal/ops/kl_divergence.h"

namespace hadal {
namespace {

double nats_of(Context& ctx, const Tensor& logits, std::span<const int32_t> targets) {
  Tensor loss = ctx.empty({logits.dim(0)});
  cross_entropy_forward(ctx, loss.vec(), logits.mat(), targets);
  const Tensor on_host = loss.to_host();
  const auto values = on_host.flat<float>();
  return std::accumulate(values.begin(), values.end(), 0.0);
}

std::vector<int64_t> choices_of(Context& ctx, const Tensor& logits) {
  std::vector<int64_t> choices(static_cast<size_t>(logits.dim(0)));
  argmax_rows(ctx, choices, logits.mat());
  return choices;
}

}  // namespace

Comparison compare_models(Context& ctx, const DeepseekV3& model, const DeepseekV3& other,
                          const std::vector<int32_t>& tokens, const ScoreOptions& options) {
  require(model.config.vocab_size == other.config.vocab_size,
          {.field = "other",
           .problem = "another vocabulary, so their tokens cannot be compared",
           .found = {other.config.vocab_size, " tokens"},
           .expected = model.config.vocab_size});
  // Both read the same windows: those that the shorter context allows.
  ScoreOptions shared = options;
  if (shared.window == 0) {
    shared.window =
        std::min(model.config.max_position_embeddings, other.config.max_position_embeddings);
  }
  Comparison result;
  std::vector<float> kl;
  int64_t n_same = 0;
  ScoredLogits read(ctx, model, shared, std::ssize(tokens));
  ScoredLogits read_other(ctx, other, shared, std::ssize(tokens));
  for_each_scored(model.config, tokens, shared, [&](const ScoredPiece& piece) {
    const Tensor logits = read.of(piece), other_logits = read_other.of(piece);
    result.nats += nats_of(ctx, logits, piece.targets);
    result.other_nats += nats_of(ctx, other_logits, piece.targets);
    const auto chosen = choices_of(ctx, logits), other_chosen = choices_of(ctx, other_logits);
    n_same += std::inner_product(chosen.begin(), chosen.end(), other_chosen.begin(), int64_t{0},
                                 std::plus<>(), std::equal_to<>());
    Tensor rows = ctx.empty({logits.dim(0)});
    kl_divergence(ctx, rows.vec(), logits.mat(), other_logits.mat());
    const Tensor on_host = rows.to_host();
    const auto values = on_host.flat<float>();
    kl.insert(kl.end(), values.begin(), values.end());
    if (options.on_progress) options.on_progress(piece.done);
  });
  result.n_tokens = std::ssize(kl);
  if (kl.empty()) return result;
  const auto n = static_cast<double>(kl.size());
  result.mean_kl = std::accumulate(kl.begin(), kl.end(), 0.0) / n;
  result.same_choice = static_cast<double>(n_same) / n;
  std::sort(kl.begin(), kl.end());
  result.largest_kl = kl.back();
  result.kl_99_percent = kl[static_cast<size_t>(0.99 * (n - 1.0))];
  return result;
}

}  // namespace hadal
