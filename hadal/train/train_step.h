// train/train_step.h: one optimizer step of pre-training on one rank.
//
//   micro-batches: F, B and W (model/training_pass.h); their gradients add up
//   finite? -> clip -> AdamW -> router biases
//
// The average of the weights follows while the next step computes (optim/weight_average.h).
//
// In two halves, so that a run can look at the loss and the gradients before it makes the update
// (train/stability.h).
//
// Same state, batch, plan and build give the same bytes, whatever the thread scheduling.
#pragma once

#include <optional>
#include <vector>

#include "hadal/data/batch.h"
#include "hadal/model/training_pass.h"
#include "hadal/optim/adamw.h"
#include "hadal/optim/weight_average.h"
#include "hadal/train/layer_figures.h"
#include "hadal/train/not_finite.h"
#include "hadal/train/router_history.h"

namespace hadal {

// Batches and their tokens, those of skipped updates included.
struct StepCount {
  int64_t steps = 0, tokens = 0;
};

// Everything that a step changes. AdamW points into the model, so a state stays where it was made.
struct TrainState : StepCount {  // optimizer.steps(): updates made
  // The model must have its values; gradients, moments and, with_ema, the average are made here.
  TrainState(Arena& arena, DeepseekV3 initial, const AdamwConfig& adamw, bool with_ema,
             int64_t seq_len, int64_t router_history = 0);
  TrainState(const TrainState&) = delete;
  TrainState& operator=(const TrainState&) = delete;

  DeepseekV3 model;
  std::vector<NamedParam> params;  // all of them, router biases included
  AdamW optimizer;                 // those with a gradient, in the same order
  std::optional<WeightAverage> average;
  RouterHistory routers;  // of the last `router_history` updates
};

// What the schedules say about one step.
struct StepPlan {
  double learning_rate = 0.0;
  double clip_norm = 1.0;
  LossWeights loss;
  double bias_gamma = 0.001;  // speed of the router biases
  double ema_decay = 0.0;
  int64_t micro_batch_sequences = 1;
  RecomputePolicy recompute;
  bool choose_by_older_router = false;  // REQUIRES a router_history
  bool with_layers = false;             // measure LayerFigures
};

struct StepReport {
  LossParts loss;  // means over the batch's targets
  double total_loss = 0.0;
  double grad_norm = 0.0;               // before clipping
  double clip = 1.0;                    // the factor used
  ExpertLoad load;                      // tokens per expert of the whole batch
  LayerFigures layers;                  // as the plan asks for them
  std::optional<NotFinite> not_finite;  // then the rest may be of a part of the batch
};

// F, B and W: the gradients wait in the parameters.
StepReport compute_gradients(Context& ctx, TrainState& state, const Batch& batch,
                             const StepPlan& plan);
// The update from them; the state is one step further. REQUIRES a finite report.
void update_state(Context& ctx, TrainState& state, const Batch& batch, const StepPlan& plan,
                  const StepReport& report);
// No update: the gradients are dropped, and the batch counts as seen.
void skip_update(Context& ctx, TrainState& state, const Batch& batch);
void drop_gradients(Context& ctx, TrainState& state);

// The batch in micro-batches of so many sequences, the last perhaps of fewer.
std::vector<MicroBatch> micro_batches(const Batch& batch, int64_t n_sequences);

// Moves the routers' biases of what the model holds by the load of the whole batch.
void update_route_biases(DeepseekV3& model, const ExpertLoad& load, double gamma);

// Gradients and update. Error, before anything is updated, if the loss or a gradient is not finite; the text names the
// step and the layer or parameter.
StepReport train_step(Context& ctx, TrainState& state, const Batch& batch, const StepPlan& plan);

// max_violation (train/expert_balance.h) of every layer with experts, MTP layers last.
std::vector<double> violations(const ExpertLoad& load);

}  // namespace hadal
