// train/pretrain.h: a whole pre-training run, from RUN.toml to the last checkpoint.
#pragma once

#include "hadal/core/json.h"
#include "hadal/tensor/context.h"
#include "hadal/train/config.h"

namespace hadal {

// Trains until the configured end, or (SIGINT, SIGTERM, SIGHUP) saves and throws Interrupted. With `resume`
// the run in config.train.out goes on bit for bit from its newest valid checkpoint. Returns what
// `hadal train --json` prints.
Json pretrain(Context& ctx, const TrainConfig& config, bool resume);

}  // namespace hadal
