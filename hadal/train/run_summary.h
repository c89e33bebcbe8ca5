// train/run_summary.h: the last word of a run, as `hadal train --json` prints it.
#pragma once

#include <optional>
#include <string>

#include "hadal/train/evaluate.h"
#include "hadal/train/training_checkpoint.h"

namespace hadal {

struct RunEnd {
  std::string checkpoint;     // the last one
  double tokens_per_s = 0.0;  // of this process's steps; 0 if it took none
  std::optional<Evaluation> ema;
  std::string ema_folder;
};

// step, tokens, train_loss (mean of the last 20 steps), val_loss, val_bits_per_byte, tokens_per_s,
// max_violation (mean over the layers, averaged over the last tenth of the steps), mtp_acceptance,
// checkpoint; null where nothing was measured. skipped_steps and rollbacks with a policy of [stability].
Json run_summary(const std::string& run_folder, const StepCount& count, const RunProgress& progress,
                 const RunEnd& end);

}  // namespace hadal
