// reproduce/loss_free_balance.cc: balance by router biases, by an auxiliary loss, or not at all
// (arXiv:2412.19437 sections 2.1.2 and 4.5.2; arXiv:2408.15664).
#include "hadal/reproduce/expert_work.h"
#include "hadal/reproduce/makers.h"
#include "hadal/reproduce/training_shape.h"

namespace hadal {
namespace {

constexpr const char* kLossFree = "loss-free";
constexpr const char* kAuxiliary = "auxiliary loss";
constexpr const char* kNoBalance = "no balancing";

TrainConfig balanced_run(const Effort& effort, const std::string& variant) {
  TrainConfig config = half_nano(effort);
  if (variant == kAuxiliary) balance_by_loss(config);
  if (variant == kNoBalance) config.loss.bias_gamma = config.loss.balance_alpha = 0.0;
  return config;
}

void measure_balance(Context&, const Trial& trial, Outcome& outcome) {
  read_run(*trial.run, outcome);
  const ExpertWork work = expert_work(*trial.run, /*n_ranks=*/4);
  outcome.figures["idle_experts"] = work.idle_experts;
  outcome.figures["lost_to_imbalance"] = work.lost;
}

}  // namespace

Experiment make_loss_free_balance() {
  Experiment e;
  e.name = "loss-free-balance";
  e.claim =
      "Moving a bias of every expert's choice score against its load balances the experts without "
      "an auxiliary loss, and the model is better than one that pays for balance in its loss.";
  e.reported =
      "Pile bits per byte 0.724 against 0.727 with an auxiliary loss (15.7B parameters), 0.652 "
      "against 0.656 (228.7B); validation loss 2.253 against 2.258 of a sequence-wise loss (1B), "
      "2.080 against 2.085 (3B)";
  e.varied =
      "loss-free: bias speed 0.01, balance loss 0.0001 as in the report; auxiliary loss: weight "
      "0.01, sequence-wise, no biases; no balancing: neither";
  e.limits =
      "A thousand steps on half a million parameters. The report's difference in loss, 0.2 %, is "
      "what another seed makes at this size";
  e.variants = {kLossFree, kAuxiliary, kNoBalance};
  e.figures = {{"val_loss", "held-out loss, nats per token"},
               {"max_violation", "maximum violation, last tenth of the steps"},
               {"idle_experts", "experts with less than a tenth of the mean load, %"},
               {"lost_to_imbalance", "experts' time lost on 4 ranks, %"}};
  e.claims = {
      {.text = "biases hold the maximum violation at a quarter, or less, of what it is without",
       .reported = "0.04 against 0.72 with an auxiliary loss (arXiv:2408.15664, 1B)",
       .figure = "max_violation",
       .variant = kLossFree,
       .baseline = kNoBalance,
       .factor = 4.0},
      {.text = "without balancing experts are left without work",
       .reported = "named as the reason to balance (section 2.1.2), no figure",
       .figure = "idle_experts",
       .variant = kLossFree,
       .baseline = kNoBalance},
      {.text = "and ranks wait for the one with the busiest experts",
       .reported = "the same",
       .figure = "lost_to_imbalance",
       .variant = kLossFree,
       .baseline = kNoBalance},
      {.text = "biases cost less quality than an auxiliary loss",
       .reported = "2.253 against 2.258 (1B), 2.080 against 2.085 (3B)",
       .figure = "val_loss",
       .variant = kLossFree,
       .baseline = kAuxiliary}};
  e.panels = {{"val/loss", "held-out loss, nats per token"},
              {"moe/max_violation", "maximum violation", true}};
  e.default_tokens = 2'000'000;
  e.training = balanced_run;
  e.measure = measure_balance;
  e.trains_variants = true;
  return e;
}

}  // namespace hadal
