// train/step_figures.h: the numbers of one step and one evaluation, as metrics.jsonl names them and
// as people read them. The names are a contract: docs/metrics.md lists them.
#pragma once

#include <string>

#include "hadal/core/json.h"
#include "hadal/train/evaluate.h"
#include "hadal/train/train_step.h"

namespace hadal {

struct StepFigures {
  double loss = 0.0;           // of the main model, nats per token
  double bits_per_byte = 0.0;  // of the same, on the text of this batch
  double tokens_per_s = 0.0;
  double max_violation = 0.0;        // mean over the layers with experts
  double worst_max_violation = 0.0;  // largest of them
};
// `text_bytes`: what the batch's targets stand for.
StepFigures step_figures(const StepReport& report, const Batch& batch, int64_t text_bytes,
                         double seconds);

// `with_load`: also the tokens of every expert in every layer.
Json step_metrics(const StepReport& report, const StepPlan& plan, const StepFigures& figures,
                  bool with_load);
Json evaluation_metrics(const Evaluation& result);

// What a checkpoint remembers of an evaluation.
Json evaluation_record(const Evaluation& result, int64_t step, int64_t tokens);

// "[####------  41 %]  step 410  loss 3.012  1.91 bits/byte  5.2K tokens/s  2 min 10 s left ..."
std::string progress_text(const StepFigures& figures, int64_t step, double fraction_done,
                          double seconds_left);
std::string evaluation_text(const Evaluation& result, int64_t step);

}  // namespace hadal
