#include "hadal/model/training_pass.h"

#include "hadal/model/head.h"
#include "hadal/model/stage_backward.h"
#include "hadal/model/stage_forward.h"

namespace hadal {
namespace {

struct WholePass {
  WholePass(Context& ctx, const DeepseekV3& model, const MicroBatch& batch,
            const LossWeights& weights, Keep keep, const RecomputePolicy& recompute = {})
      : cut(StageCut::whole(model.config)),
        output(StageForward(ctx, dispatcher, model, cut, {},
                            StageRows::of(batch, weights, model.config.n_mtp, recompute), keep,
                            saved)
                   .run()) {}
  TrainingResult result(LossParts loss) {
    for (const double each : output.balance) loss.balance += each;
    return {std::move(loss), std::move(output.load)};
  }

  LocalDispatcher dispatcher;
  const StageCut cut;
  StageSaved saved;
  StageOutput output;
};

}  // namespace

TrainingResult forward_backward(Context& ctx, DeepseekV3& model, const MicroBatch& batch,
                                const LossWeights& weights, const RecomputePolicy& recompute) {
  WholePass pass(ctx, model, batch, weights, Keep::kForBackward, recompute);
  StageBackward backward(ctx, pass.dispatcher, model, &model, pass.cut, {}, pass.saved);
  return pass.result(backward.run().loss);
}

TrainingResult training_loss(Context& ctx, const DeepseekV3& model, const MicroBatch& batch,
                             const LossWeights& weights) {
  WholePass pass(ctx, model, batch, weights, Keep::kNothing);
  const auto loss_of = [&](const HeadRows& head) {
    return head_losses(ctx, model, head, pass.saved.per_target,
                       [](View<const float, 2>, int64_t, int64_t) {});
  };
  LossParts loss;
  loss.ce = loss_of(pass.saved.head);
  for (const StageSaved::Mtp& mtp : pass.saved.mtp) loss.mtp.push_back(loss_of(mtp.head));
  return pass.result(std::move(loss));
}

}  // namespace hadal
