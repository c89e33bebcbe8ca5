#include "hadal/model/stage.h"

#include "hadal/model/head.h"
#include "hadal/model/stage_blocks.h"

namespace hadal {

std::vector<StageCut> even_cuts(const ModelConfig& config, int64_t n) {
  std::vector<StageCut> cuts;
  int64_t next = 0;
  for (int64_t stage = 0; stage < n; ++stage) {
    const int64_t length = config.n_layers / n + (stage < config.n_layers % n ? 1 : 0);
    cuts.push_back({.embedding = stage == 0,
                    .first_layer = next,
                    .last_layer = next + length,
                    .heads = stage == n - 1});
    next += length;
  }
  return cuts;
}

StageOutput stage_forward(Context& ctx, TokenDispatcher& dispatcher, const DeepseekV3& model,
                          const StageCut& cut, Tensor rows, const MicroBatch& batch,
                          const LossWeights& weights, StageSaved& saved) {
  StageOutput output = blocks_forward(
      ctx, dispatcher, model, cut, std::move(rows),
      {batch.tokens, batch.targets, Sequences::equal(batch.n_sequences, batch.length)},
      balance_of(batch, weights), Keep::kForBackward, saved, [](int64_t, const Tensor&) {});
  if (!cut.heads) return output;
  const double scale = per_target(batch);
  std::vector<Tensor> dlogits;
  for (const HeadPart& part : head_parts(batch, weights, saved, output.loss)) {
    Tensor logits = head_logits(ctx, model, part.normed.mat());
    part.loss +=
        head_loss(ctx, logits.mat(), part.targets, scale, static_cast<float>(part.weight * scale));
    dlogits.push_back(std::move(logits));
  }
  saved.dlogits = std::move(dlogits[0]);
  for (size_t k = 1; k < dlogits.size(); ++k) saved.mtp[k - 1].dlogits = std::move(dlogits[k]);
  return output;
}

Tensor stage_backward_input(Context& ctx, TokenDispatcher& dispatcher, const DeepseekV3& model,
                            const StageCut& cut, Tensor drows, StageSaved& saved) {
  std::vector<Tensor> dnormed;
  if (cut.heads) {
    const auto through_head = [&](const Tensor& dlogits) {
      Tensor result = ctx.empty({dlogits.dim(0), model.config.d_model});
      head_backward_input(ctx, result.mat(), model, dlogits.mat());
      return result;
    };
    dnormed.push_back(through_head(saved.dlogits));
    for (const StageSaved::Mtp& mtp : saved.mtp) {
      dnormed.push_back(mtp.dlogits.has_data() ? through_head(mtp.dlogits) : Tensor());
    }
  }
  return blocks_backward_input(ctx, dispatcher, model, cut, std::move(drows), std::move(dnormed),
                               saved);
}

void stage_backward_weight(Context& ctx, DeepseekV3& model, const StageCut& cut,
                           StageSaved&& saved) {
  StageSaved consumed = std::move(saved);
  if (cut.heads) {
    head_backward_weight(ctx, model, std::as_const(consumed.dlogits).mat(),
                         std::as_const(consumed.final_hidden).mat());
    consumed.dlogits = {};
    for (StageSaved::Mtp& mtp : consumed.mtp) {
      if (!mtp.dlogits.has_data()) continue;
      head_backward_weight(ctx, model, std::as_const(mtp.dlogits).mat(),
                           std::as_const(mtp.normed).mat());
      mtp.dlogits = {};
    }
  }
  blocks_backward_weight(ctx, model, cut, consumed);
}

}  // namespace hadal
