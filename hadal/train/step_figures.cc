#include "hadal/train/step_figures.h"

#include <algorithm>
#include <numbers>
#include <numeric>

#include "hadal/core/log.h"
#include "hadal/core/number_text.h"
#include "hadal/train/expert_balance.h"

namespace hadal {

StepFigures step_figures(const StepReport& report, const Batch& batch, int64_t text_bytes,
                         double seconds) {
  StepFigures figures;
  figures.loss = report.loss.ce;
  const auto targets =
      std::count_if(batch.targets.begin(), batch.targets.end(), [](int32_t id) { return id >= 0; });
  figures.bits_per_byte = report.loss.ce * static_cast<double>(targets) / std::numbers::ln2 /
                          static_cast<double>(std::max<int64_t>(text_bytes, 1));
  figures.tokens_per_s = static_cast<double>(batch.n_sequences * batch.length) / seconds;
  const std::vector<double> each = violations(report.load);
  if (!each.empty()) {
    figures.max_violation =
        std::accumulate(each.begin(), each.end(), 0.0) / static_cast<double>(each.size());
    figures.worst_max_violation = *std::max_element(each.begin(), each.end());
  }
  return figures;
}

Json step_metrics(const StepReport& report, const StepPlan& plan, const StepFigures& figures,
                  bool with_load) {
  Json json = Json::object();
  json["train/loss"] = figures.loss;
  json["train/bits_per_byte"] = figures.bits_per_byte;
  json["train/total_loss"] = report.total_loss;
  json["train/learning_rate"] = plan.learning_rate;
  json["train/grad_norm"] = report.grad_norm;
  json["train/clip"] = report.clip;
  for (size_t k = 0; k < report.loss.mtp.size(); ++k) {
    json[concat("mtp/loss_", k + 1)] = report.loss.mtp[k];
  }
  json["moe/balance_loss"] = report.loss.balance;
  json["moe/max_violation"] = figures.max_violation;
  json["moe/max_violation_worst_layer"] = figures.worst_max_violation;
  if (plan.choose_by_older_router) json["stability/older_router"] = 1;
  json["perf/tok_s"] = figures.tokens_per_s;
  if (!with_load) return json;
  Json load = Json::array();
  for (size_t layer = 0; layer < report.load.size(); ++layer) {
    load.push_back(Json::array_of(report.load[layer]));
    if (report.load[layer].empty()) continue;
    const std::string id = concat(layer < 10 ? "0" : "", layer);
    json["moe/load_max_over_mean/layer_" + id] = max_violation(report.load[layer]) + 1.0;
  }
  json["moe/load"] = std::move(load);
  return json;
}

Json evaluation_metrics(const Evaluation& result) {
  Json json = Json::object();
  json["val/loss"] = result.loss;
  json["val/bpb"] = result.bits_per_byte;
  for (size_t k = 0; k < result.mtp_acceptance.size(); ++k) {
    json[concat("mtp/acceptance_", k + 1)] = result.mtp_acceptance[k];
  }
  return json;
}

Json evaluation_record(const Evaluation& result, int64_t step, int64_t tokens) {
  Json json = Json::object();
  json["step"] = step;
  json["tokens"] = tokens;
  json["loss"] = result.loss;
  json["bits_per_byte"] = result.bits_per_byte;
  json["mtp_acceptance"] = Json::array_of(result.mtp_acceptance);
  return json;
}

std::string progress_text(const StepFigures& figures, int64_t step, double fraction_done,
                          double seconds_left) {
  const int bar = terminal().columns >= 120 ? 20 : 10;
  return concat("[", progress_bar(fraction_done, bar), "]  step ", step, "  loss ",
                printed("%.3f", figures.loss), "  ", printed("%.3f", figures.bits_per_byte),
                " bits/byte  ", human_count(figures.tokens_per_s), " tokens/s  ",
                human_seconds(seconds_left), " left  imbalance ",
                printed("%.2f", figures.max_violation));
}

std::string evaluation_text(const Evaluation& result, int64_t step) {
  std::string text = concat("step ", step, "  held-out loss ", printed("%.4f", result.loss), "  ",
                            printed("%.4f", result.bits_per_byte), " bits/byte");
  if (!result.mtp_acceptance.empty()) {
    text += concat("  MTP acceptance ", printed("%.1f", 100 * result.mtp_acceptance[0]), " %");
  }
  return text;
}

}  // namespace hadal
