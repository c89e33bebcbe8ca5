// train/ema.h: the exponential moving average of the weights, as a model of its own.
#pragma once

#include "hadal/train/training_checkpoint.h"

namespace hadal {

// Exchanges the weights with their average; a second call undoes the first. Router biases have no
// average and stay. REQUIRES an average.
void swap_ema(Context& ctx, TrainState& state);

// Writes RUN/ema, a folder like any Hugging Face checkpoint, in place of an older one.
std::string save_ema_model(Context& ctx, const RunFolder& run, DeepseekV3& averaged,
                           const TrainingCheckpointOptions& options);

}  // namespace hadal
