// reproduce/mtp.cc: training with multi-token prediction and without (arXiv:2412.19437 sections 2.2, 4.5.1).
#include "hadal/reproduce/makers.h"
#include "hadal/reproduce/training_shape.h"

namespace hadal {
namespace {

constexpr const char* kWithout = "without";
constexpr const char* kDepth1 = "depth 1";
constexpr const char* kDepth2 = "depth 2";

TrainConfig mtp_run(const Effort& effort, const std::string& variant) {
  TrainConfig config = half_nano(effort);
  config.model.overrides["num_nextn_predict_layers"] = variant == kWithout  ? 0
                                                       : variant == kDepth1 ? 1
                                                                            : 2;
  return config;
}

void measure_mtp(Context&, const Trial& trial, Outcome& outcome) { read_run(*trial.run, outcome); }

}  // namespace

Experiment make_mtp() {
  Experiment e;
  e.name = "mtp";
  e.claim =
      "A module that predicts the token after the next one makes the main model better, at no "
      "cost when it is left out afterwards; kept, its guesses are right often enough to speed up "
      "generation.";
  e.reported =
      "Pile bits per byte 0.729 and 0.729 (15.7B), 0.658 and 0.657 (228.7B), HumanEval 20.7 and "
      "26.8, 44.5 and 53.7, without and with depth 1; 85 to 90 % of the second tokens accepted "
      "(section 5.4.3)";
  e.varied = "MTP modules: none, one, two; the main model, its tokens and their order are the same";
  e.limits =
      "Benchmarks as in the report need a model a thousand times as large; what is compared is "
      "the main model's held-out loss, in which the report itself saw next to nothing";
  e.variants = {kDepth1, kDepth2, kWithout};
  e.figures = {{"val_loss", "held-out loss of the main model, nats per token"},
               {"mtp_acceptance_1", "guesses of depth 1 that greedy decoding would accept, share"},
               {"mtp_acceptance_2", "of depth 2, share"}};
  e.claims = {{.text = "depth 1 lowers the main model's loss",
               .reported = "0.729 and 0.729, 0.658 and 0.657 bits per byte",
               .figure = "val_loss",
               .variant = kDepth1,
               .baseline = kWithout},
              {.text = "depth 2 lowers it",
               .reported = "not reported",
               .figure = "val_loss",
               .variant = kDepth2,
               .baseline = kWithout}};
  e.panels = {{"val/loss", "held-out loss, nats per token"}};
  e.default_tokens = 2'000'000;
  e.training = mtp_run;
  e.measure = measure_mtp;
  e.trains_variants = true;
  return e;
}

}  // namespace hadal
