// train/train_step.h: one optimizer step of pre-training on one rank.
//
//   micro-batches: F, B and W (model/training_pass.h); their gradients add up
//   finite? -> clip -> AdamW -> router biases -> EMA
//
// Same state, batch, plan and build give the same bytes, whatever the thread scheduling.
#pragma once

#include <vector>

#include "hadal/data/batch.h"
#include "hadal/model/training_pass.h"
#include "hadal/optim/adamw.h"

namespace hadal {

// Everything that a step changes. AdamW points into the model, so a state stays where it was made.
struct TrainState {
  // The model must have its values; gradients, moments and (ema_decay > 0) the average are made
  // here.
  TrainState(Arena& arena, DeepseekV3 initial, const AdamwConfig& adamw, bool with_ema,
             int64_t seq_len);
  TrainState(const TrainState&) = delete;
  TrainState& operator=(const TrainState&) = delete;

  DeepseekV3 model;
  std::vector<NamedParam> params;  // all of them, router biases included
  AdamW optimizer;                 // those with a gradient, in the same order
  std::vector<Tensor> ema;         // as optimizer.params(); empty without EMA
  int64_t steps = 0, tokens = 0;   // taken, seen
};

// What the schedules say about one step.
struct StepPlan {
  double learning_rate = 0.0;
  double clip_norm = 1.0;
  LossWeights loss;
  double bias_gamma = 0.001;  // speed of the router biases
  double ema_decay = 0.0;
  int64_t micro_batch_sequences = 1;
};

struct StepReport {
  LossParts loss;  // means over the batch's targets
  double total_loss = 0.0;
  double grad_norm = 0.0;  // before clipping
  double clip = 1.0;       // the factor used
  ExpertLoad load;         // tokens per expert of the whole batch
};

// Error, before anything is updated, if the loss or a gradient is not finite; the text names the
// step and the layer or parameter.
StepReport train_step(Context& ctx, TrainState& state, const Batch& batch, const StepPlan& plan);

// max_violation (train/expert_balance.h) of every layer with experts, MTP layers last.
std::vector<double> violations(const ExpertLoad& load);

}  // namespace hadal
