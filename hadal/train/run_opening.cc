#include "hadal/train/run_opening.h"

#include <cmath>

#include "hadal/core/clock.h"
#include "hadal/core/number_text.h"
#include "hadal/model/config.h"

namespace hadal {
namespace {

std::string model_line(const ModelConfig& shape, const TrainConfig::Optimizer& optimizer) {
  const ParameterCount count = count_parameters(shape);
  // F32 masters and gradients, two moments, perhaps an average.
  const int each =
      8 + 2 * (optimizer.moment_dtype == "bf16" ? 2 : 4) + (optimizer.ema_decay > 0 ? 4 : 0);
  const double bytes = each * static_cast<double>(count.total + count.mtp);
  return concat("model: ", human_count(static_cast<double>(count.total)), " parameters, ",
                human_count(static_cast<double>(count.active)), " active per token, ",
                shape.n_layers, " layers",
                shape.n_mtp > 0 ? concat(" and ", shape.n_mtp, " MTP") : "",
                "; weights, gradients and moments take about ", human_bytes(bytes));
}

// "; 87.00 %, 10.00 %, 3.00 % of them from the paths"
std::string shares_text(const DataCounts& counts) {
  std::string text;
  for (const int64_t tokens : counts.source_tokens) {
    const double share = static_cast<double>(tokens) / static_cast<double>(counts.train_tokens);
    text += concat(text.empty() ? "; " : ", ", printed("%.2f %%", 100.0 * share));
  }
  return text.empty() ? text : text + " of them from the paths";
}

std::string data_line(const PreparedData& data) {
  const DataCounts& n = data.counts;
  return concat("data: ", human_count(static_cast<double>(n.train_tokens)), " tokens in ",
                human_count(static_cast<double>(n.train_rows)), " rows, ",
                human_count(static_cast<double>(n.validation_tokens)), " tokens held out; ",
                data.tokenizer.vocab_size(), " different tokens",
                data.reused ? "; prepared before" : "", shares_text(n));
}

std::string plan_line(const RunPlan& plan, const DataCounts& data, const TrainConfig& config) {
  if (plan.planned_tokens() == 0) {
    return concat("plan: ", human_seconds(config.train.max_seconds),
                  "; the tokens that fit follow from the speed of the first steps");
  }
  const double tokens = static_cast<double>(plan.planned_tokens());
  std::string line =
      concat("plan: ", human_count(tokens), " tokens in ", plan.planned_steps(), " steps");
  if (data.train_tokens > 0) {
    line += concat(", ", printed("%.1f", tokens / static_cast<double>(data.train_tokens)),
                   " times through the data");
  }
  if (config.train.max_seconds > 0) {
    line += concat(", for ", human_seconds(config.train.max_seconds), " at most");
  }
  return line;
}

}  // namespace

std::vector<std::string> opening_lines(const ModelConfig& shape, const PreparedData& data,
                                       const RunPlan& plan, const TrainConfig& config) {
  return {model_line(shape, config.optimizer), data_line(data),
          plan_line(plan, data.counts, config)};
}

std::string expected_end(double seconds_left) {
  return concat("about ", human_seconds(seconds_left), " more, until ",
                local_time(unix_seconds() + seconds_left));
}

std::string warmup_warning(const TrainConfig& config, const RunPlan& plan) {
  const TrainConfig::Optimizer& o = config.optimizer;
  if (plan.planned_tokens() == 0) return "";
  const bool by_steps = o.warmup_steps > 0;
  const int64_t warmup = by_steps ? o.warmup_steps : o.warmup_tokens;
  const int64_t planned = by_steps ? plan.planned_steps() : plan.planned_tokens();
  if (warmup <= planned) return "";
  const char* const unit = by_steps ? "steps" : "tokens";
  return concat("optimizer.warmup_", unit, ": the warm-up is longer than the run (found ", warmup,
                ", expected at most ", planned, " ", unit, "), so the learning rate only reaches ",
                percent(static_cast<double>(planned) / static_cast<double>(warmup)),
                " of its peak; set a shorter one");
}

std::string plan_change_warning(const TrainConfig& config, int64_t planned_before,
                                const RunPlan& plan, const TrainingClock& now) {
  if (planned_before == 0 || plan.planned_tokens() == 0) return "";
  const double before = learning_rate(learning_rate_schedule(config, planned_before), now);
  const double after = learning_rate(plan.learning_rates(), now);
  if (std::abs(after - before) <= 0.25 * before) return "";
  return concat("the plan is ", human_count(static_cast<double>(plan.planned_tokens())),
                " tokens, and was ", human_count(static_cast<double>(planned_before)),
                " when the checkpoint was written: the learning rate goes from ",
                plain_number(before), " to ", plain_number(after),
                " at this step; with optimizer.constant_until_tokens and decay_until_tokens the "
                "schedule can be kept");
}

}  // namespace hadal
