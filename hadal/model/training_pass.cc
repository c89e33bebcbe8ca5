#include "hadal/model/training_pass.h"

#include <algorithm>

#include "hadal/model/head.h"
#include "hadal/model/stage_blocks.h"

namespace hadal {
namespace {

constexpr int64_t kHeadChunkRows = 256;

// Loss and gradients of one head in chunks of rows. Returns dnormed.
Tensor head_at_once(Context& ctx, DeepseekV3& model, const HeadPart& part, double scale) {
  const int64_t n_rows = part.normed.dim(0);
  Tensor dnormed = ctx.empty(part.normed.shape());
  for (int64_t begin = 0; begin < n_rows; begin += kHeadChunkRows) {
    const int64_t end = std::min(begin + kHeadChunkRows, n_rows);
    const View<const float, 2> normed = part.normed.mat().rows(begin, end);
    Tensor logits = head_logits(ctx, model, normed);
    part.loss += head_loss(
        ctx, logits.mat(),
        part.targets.subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin)), scale,
        static_cast<float>(part.weight * scale));
    head_backward_input(ctx, dnormed.mat().rows(begin, end), model, std::as_const(logits).mat());
    head_backward_weight(ctx, model, std::as_const(logits).mat(), normed);
  }
  return dnormed;
}

}  // namespace

TrainingResult forward_backward(Context& ctx, DeepseekV3& model, const MicroBatch& batch,
                                const LossWeights& weights, const RecomputePolicy& recompute) {
  LocalDispatcher dispatcher;
  const StageCut cut = StageCut::whole(model.config);
  StageSaved saved;
  StageOutput output = blocks_forward(
      ctx, dispatcher, model, cut, {},
      {batch.tokens, batch.targets, Sequences::equal(batch.n_sequences, batch.length)},
      balance_of(batch, weights), Keep::kForBackward, saved, [](int64_t, const Tensor&) {},
      recompute);
  std::vector<Tensor> dnormed(1 + model.mtp.size());
  size_t next = 0;
  for (const HeadPart& part : head_parts(batch, weights, saved, output.loss)) {
    dnormed[next++] = head_at_once(ctx, model, part, per_target(batch));
  }
  saved.final_hidden = {};
  for (StageSaved::Mtp& mtp : saved.mtp) mtp.normed = {};
  blocks_backward(ctx, dispatcher, model, cut, {}, std::move(dnormed), saved);
  return {std::move(output.loss), std::move(output.load)};
}

TrainingResult training_loss(Context& ctx, const DeepseekV3& model, const MicroBatch& batch,
                             const LossWeights& weights) {
  LocalDispatcher dispatcher;
  StageSaved dropped;
  StageOutput output = stage_forward(ctx, dispatcher, model, StageCut::whole(model.config), {},
                                     batch, weights, dropped);
  return {std::move(output.loss), std::move(output.load)};
}

}  // namespace hadal
