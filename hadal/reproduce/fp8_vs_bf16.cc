// reproduce/fp8_vs_bf16.cc: the same run with its linears' products in FP8 and in BF16 (arXiv:2412.19437
// section 3.3 and appendix B.1).
#include <algorithm>
#include <limits>

#include "hadal/core/error.h"
#include "hadal/reproduce/makers.h"
#include "hadal/reproduce/training_shape.h"
#include "hadal/train/metrics.h"

namespace hadal {
namespace {

constexpr const char* kFp8 = "FP8";
constexpr const char* kBf16 = "BF16";
constexpr size_t kPoints = 100;  // of a curve

TrainConfig precision_run(const Effort& effort, const std::string& variant) {
  TrainConfig config = slim_nano(effort);
  config.precision.compute = variant == kFp8 ? "fp8" : "bf16";
  return config;
}

// Training losses, smoothed as in the report: s = 0.9 s + 0.1 loss, from step to step.
Curve smoothed_losses(const TrainConfig& run) {
  Curve all;
  for (const Json& line : read_metrics(run.train.out, std::numeric_limits<int64_t>::max())) {
    const Json* loss = line.find("train/loss");
    if (!loss) continue;
    const double value = loss->as_number();
    all.x.push_back(line.at("tokens").as_number());
    all.y.push_back(all.y.empty() ? value : 0.9 * all.y.back() + 0.1 * value);
  }
  return all;
}

// Every n-th point, the last one among them.
Curve thinned(const Curve& curve) {
  const size_t every = std::max<size_t>(1, curve.x.size() / kPoints);
  Curve result;
  for (size_t i = (curve.x.size() - 1) % every; i < curve.x.size(); i += every) {
    result.x.push_back(curve.x[i]);
    result.y.push_back(curve.y[i]);
  }
  return result;
}

void measure_precision(Context&, const Trial& trial, Outcome& outcome) {
  read_summary(*trial.run, outcome);
  const Curve smoothed = smoothed_losses(*trial.run);
  require(!smoothed.y.empty(),
          {.place = trial.run->train.out, .problem = "no loss in its metrics"});
  outcome.figures["smoothed_loss"] = smoothed.y.back();
  outcome.curves["smoothed"] = thinned(smoothed);
}

Curve difference_in_percent(const Curve& a, const Curve& b) {
  Curve gap{a.x, {}};
  for (size_t i = 0; i < a.y.size(); ++i) gap.y.push_back(100.0 * (a.y[i] / b.y.at(i) - 1.0));
  return gap;
}

// How far FP8 is from BF16 of the same seed at every step; and, for the noise beside it, BF16 from BF16 with
// its gradients summed in another order.
void compare_with_bf16(std::vector<Outcome>& outcomes) {
  for (Outcome& base : outcomes) {
    if (base.variant != kBf16 || base.other_order) continue;
    for (Outcome& other : outcomes) {
      if (other.seed != base.seed || &other == &base) continue;
      Outcome& drawn = other.other_order ? base : other;
      drawn.curves["difference"] =
          difference_in_percent(other.curves.at("smoothed"), base.curves.at("smoothed"));
    }
  }
}

}  // namespace

Experiment make_fp8_vs_bf16() {
  Experiment e;
  e.name = "fp8-vs-bf16";
  e.claim = "Training with the products of linears in FP8 gives the loss of training in BF16.";
  e.reported =
      "relative difference of the smoothed losses below 0.25 %, in models of 16B parameters over "
      "1.33T tokens and 230B over 0.9T";
  e.varied =
      "the precision of the linears: E4M3 in tiles of 1x128 and blocks of 128x128 with "
      "power-of-two scales, activations kept in FP8; or BF16. Seed, text and order of the batches "
      "are the same";
  e.limits =
      "Two layers and 20 million tokens. Products are summed in FP32 as after promotion; Hopper's "
      "14-bit sums in between are measured by accumulation";
  e.variants = {kBf16, kFp8};
  e.figures = {{"smoothed_loss", "training loss at the end, smoothed, nats per token"},
               {"val_loss", "held-out loss, nats per token"},
               {"max_violation", "maximum violation, last tenth of the steps"}};
  e.claims = {{.text = "the smoothed training loss at the end is the same within 0.25 %",
               .reported = "below 0.25 %",
               .figure = "smoothed_loss",
               .variant = kFp8,
               .baseline = kBf16,
               .within = 0.0025},
              {.text = "so is the held-out loss",
               .reported = "not reported",
               .figure = "val_loss",
               .variant = kFp8,
               .baseline = kBf16,
               .within = 0.0025}};
  e.panels = {{"smoothed", "training loss, smoothed, nats per token"},
              {"difference", "FP8 from BF16; BF16 from itself in another order of sums, %"}};
  e.default_tokens = 20'000'000;
  e.training = precision_run;
  e.measure = measure_precision;
  e.compare_runs = compare_with_bf16;
  e.trains_variants = true;
  return e;
}

}  // namespace hadal
