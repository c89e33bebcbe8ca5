// train/not_finite.h: a step whose loss or gradients are not finite is found out before an update that
// would destroy the weights, and where it began.
#pragma once

#include <optional>
#include <string>

#include "hadal/model/deepseek_v3.h"
#include "hadal/model/micro_batch.h"
#include "hadal/optim/gradient_clip.h"

namespace hadal {

struct NotFinite {
  bool in_loss = true;  // else in a gradient
  double value = 0.0;   // of the total loss or the gradient norm
  std::string where;    // "hidden of layer 3 (17 of 4096 elements)", a parameter
  std::string text;     // "the loss of step 7 is not finite (found ...), first in ..."
};

// How the line of a run that stops over it ends.
extern const char* const kNothingUpdated;

// The first layer whose output is not finite. A second forward pass finds it; it runs only where the
// loss is not finite.
std::optional<NotFinite> find_not_finite_loss(Context& ctx, const DeepseekV3& model,
                                              const MicroBatch& batch, const LossParts& loss,
                                              const LossWeights& weights, int64_t step);

// The first parameter whose gradient is not finite.
std::optional<NotFinite> find_not_finite_gradient(Context& ctx, const GradientNorm& norm,
                                                  const std::vector<Trainable>& params,
                                                  int64_t step);

}  // namespace hadal
