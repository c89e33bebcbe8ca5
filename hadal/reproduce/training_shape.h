// reproduce/training_shape.h: the small model that experiments train, and what is read from a finished run.
#pragma once

#include <string>
#include <vector>

#include "hadal/data/dataset.h"
#include "hadal/reproduce/experiment.h"
#include "hadal/train/held_out.h"

namespace hadal {

// Preset `nano` at half its width, no MTP module, balanced by router biases: an experiment of ten runs
// of a million tokens takes a quarter of an hour on a core. Half a million parameters.
TrainConfig half_nano(const Effort& effort);
// `nano` itself: FP8 tiles of 128 need rows of 128 at least.
TrainConfig whole_nano(const Effort& effort);

// Two layers of `nano`, one dense and one of eight experts, still 128 wide: for runs of 20 million tokens.
TrainConfig slim_nano(const Effort& effort);

// Balances by a loss alone: DeepSeekMoE's factor for models that are not cut over devices
// (arXiv:2401.06066), no biases.
void balance_by_loss(TrainConfig& config);

// Of summary.json: val_loss, max_violation, mtp_acceptance_1, _2.
void read_summary(const TrainConfig& run, Outcome& outcome);
// The same, and curves over tokens, thinned: val/loss, train/loss, moe/max_violation.
void read_run(const TrainConfig& run, Outcome& outcome);

// The run's model and its held-out rows.
struct FinishedRun {
  FinishedRun(Context& ctx, const TrainConfig& run);
  PreparedData data;
  DeepseekV3 model;
  std::vector<HeldOutBatch> held_out;
};

}  // namespace hadal
