#include "hadal/train/run_summary.h"

#include <algorithm>

#include "hadal/train/metrics.h"

namespace hadal {
namespace {

// Mean of a metric over the training steps after `step`.
Json mean_after(const std::vector<Json>& lines, const char* name, int64_t step) {
  double sum = 0.0;
  int64_t n = 0;
  for (const Json& line : lines) {
    const Json* value = line.find(name);
    if (!value || !value->is_number() || line.at("step").as_integer() <= step) continue;
    sum += value->as_number();
    ++n;
  }
  return n == 0 ? Json() : Json(sum / static_cast<double>(n));
}

}  // namespace

Json run_summary(const std::string& run_folder, const StepCount& count, const RunProgress& progress,
                 const RunEnd& end) {
  const std::vector<Json> lines = read_metrics(run_folder, count.steps);
  const int64_t last_tenth = count.steps - std::max<int64_t>(1, count.steps / 10);
  Json last;
  if (!progress.evaluations.as_array().empty()) last = progress.evaluations.as_array().back();
  const auto evaluated = [&](const char* name) {
    const Json* value = last.find(name);
    return value ? *value : Json();
  };
  Json json = Json::object();
  json["step"] = count.steps;
  json["tokens"] = count.tokens;
  json["train_loss"] = mean_after(lines, "train/loss", count.steps - 20);
  json["val_loss"] = evaluated("loss");
  json["val_bits_per_byte"] = evaluated("bits_per_byte");
  json["tokens_per_s"] = end.tokens_per_s > 0 ? Json(end.tokens_per_s) : Json();
  json["max_violation"] = mean_after(lines, "moe/max_violation", last_tenth);
  json["max_violation_worst_layer"] =
      mean_after(lines, "moe/max_violation_worst_layer", last_tenth);
  const Json acceptance = evaluated("mtp_acceptance");
  const bool has_mtp = acceptance.is_array() && !acceptance.as_array().empty();
  json["mtp_acceptance"] = has_mtp ? acceptance.as_array()[0] : Json();
  if (has_mtp && acceptance.as_array().size() > 1) json["mtp_acceptance_by_depth"] = acceptance;
  if (end.ema) {
    json["ema_val_loss"] = end.ema->loss;
    json["ema_val_bits_per_byte"] = end.ema->bits_per_byte;
    json["ema_checkpoint"] = end.ema_folder;
  }
  if (const Json& stability = progress.stability; !stability.is_null()) {
    json["skipped_steps"] = stability.at("skipped");
    json["rollbacks"] = stability.at("rollbacks");
  }
  json["checkpoint"] = end.checkpoint;
  return json;
}

}  // namespace hadal
