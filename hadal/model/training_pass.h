// model/training_pass.h: one micro-batch through the whole model and back, on one device
// (arXiv:2412.19437 eq. 17-25). A pipeline runs the same steps stage by stage (model/stage.h).
#pragma once

#include "hadal/model/stage.h"

namespace hadal {

struct TrainingResult {
  LossParts loss;
  ExpertLoad load;
};

// F, B and W at once: the numbers of the three steps of a stage in much less memory, because each
// layer's Saved dies as soon as the gradient has passed it and the head goes through its rows in
// chunks ([T,V] logits never exist). Adds to the gradients.
TrainingResult forward_backward(Context& ctx, DeepseekV3& model, const MicroBatch& batch,
                                const LossWeights& weights, const RecomputePolicy& recompute = {});

// F alone, for its numbers.
TrainingResult training_loss(Context& ctx, const DeepseekV3& model, const MicroBatch& batch,
                             const LossWeights& weights);

}  // namespace hadal
