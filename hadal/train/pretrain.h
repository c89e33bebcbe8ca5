// train/pretrain.h: a whole pre-training run, from RUN.toml to the last checkpoint.
#pragma once

#include <functional>
#include <optional>

#include "hadal/core/json.h"
#include "hadal/tensor/context.h"
#include "hadal/train/config.h"
#include "hadal/train/trainer.h"

namespace hadal {

// Where a run that is done again ends, before the plan's own end.
struct TrainStop {
  std::optional<int64_t> after_step = {};  // none: where the plan ends
  bool ends_run = false;  // as the plan's end would, with an evaluation and the averages
  // In place of step after_step + 1 and of the checkpoint: its gradients are zero.
  std::function<void(TrainState&, const Batch&, const StepPlan&)> look;
};

// Trains until the configured end, or (SIGINT, SIGTERM, SIGHUP) saves and throws Interrupted. With `resume`
// the run in config.train.out goes on bit for bit from its newest valid checkpoint. Returns what
// `hadal train --json` prints; null after a look.
Json pretrain(Context& ctx, const TrainConfig& config, bool resume, const TrainStop& stop = {});
// The same with steps that `trainer` makes.
Json pretrain(Context& ctx, Trainer& trainer, const TrainConfig& config, bool resume,
              const TrainStop& stop = {});

}  // namespace hadal
