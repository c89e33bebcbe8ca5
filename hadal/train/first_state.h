// train/first_state.h: what a run's state is made from, before a checkpoint is read into it.
#pragma once

#include "hadal/data/tokenizer.h"
#include "hadal/train/run_start.h"

namespace hadal {

// Random, or those of the model to go on from; a checkpoint's are restored into them. Of what `part` holds.
DeepseekV3 first_weights(Context& ctx, const ModelConfig& shape, const TrainConfig& config,
                         bool from_checkpoint, const HeldPart& part);
AdamwConfig adamw_config(const TrainConfig::Optimizer& optimizer);
// With the special tokens of the tokenizer.
ModelConfig shape_for(const TrainConfig& config, const Tokenizer& tokenizer);

}  // namespace hadal
