// model/training_pass.h: one micro-batch through the whole model and back, on one device
// (arXiv:2412.19437 eq. 17-25). A pipeline runs the same steps stage by stage (model/stage.h).
#pragma once

#include "hadal/model/stage.h"

namespace hadal {

struct TrainingResult {
  LossParts loss;
  ExpertLoad load;
};

// F, then B and W at once. Adds to the gradients.
TrainingResult forward_backward(Context& ctx, DeepseekV3& model, const MicroBatch& batch,
                                const LossWeights& weights, const RecomputePolicy& recompute = {});

// F and the losses, for their numbers.
TrainingResult training_loss(Context& ctx, const DeepseekV3& model, const MicroBatch& batch,
                             const LossWeights& weights);

}  // namespace hadal
