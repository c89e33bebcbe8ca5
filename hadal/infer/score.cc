#include "hadal/infer/score.h"

#include "hadal/infer/scored_windows.h"
#include "hadal/ops/cross_entropy.h"

namespace hadal {

std::vector<double> score_tokens(Context& ctx, const DeepseekV3& model,
                                 const std::vector<int32_t>& tokens, const ScoreOptions& options,
                                 PassTurns& turns) {
  std::vector<double> logprobs;
  ScoredLogits read(ctx, model, options, std::ssize(tokens), turns);
  for_each_scored(model.config, tokens, options, [&](const ScoredPiece& piece) {
    const Tensor logits = read.of(piece);
    Tensor loss = ctx.empty({logits.dim(0)});
    cross_entropy_forward(ctx, loss.vec(), logits.mat(), piece.targets);
    const Tensor on_host = loss.to_host();
    for (const float value : on_host.flat<float>()) logprobs.push_back(-double{value});
    if (options.on_progress) options.on_progress(piece.done);
  });
  return logprobs;
}

}  // namespace hadal
