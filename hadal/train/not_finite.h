// train/not_finite.h: training stops before an update that would destroy the weights, and says
// where.
#pragma once

#include "hadal/model/deepseek_v3.h"
#include "hadal/model/micro_batch.h"
#include "hadal/optim/gradient_clip.h"

namespace hadal {

// Error naming the step and the first layer whose output is not finite. A second forward pass finds
// that layer; it runs only in this case.
void require_finite_loss(Context& ctx, const DeepseekV3& model, const MicroBatch& batch,
                         const LossParts& loss, const LossWeights& weights, int64_t step);

// Error naming the step and the first parameter whose gradient is not finite.
void require_finite_gradients(Context& ctx, const GradientNorm& norm,
                              const std::vector<Trainable>& params, int64_t step);

}  // namespace hadal
