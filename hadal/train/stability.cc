#include "hadal/train/stability.h"

#include <algorithm>
#include <cmath>

#include "hadal/core/error.h"
#include "hadal/core/median.h"
#include "hadal/core/number_text.h"
#include "hadal/io/atomic_write.h"
#include "hadal/io/path_status.h"

namespace hadal {
namespace {

void push(std::vector<double>& window, double value, int64_t limit) {
  window.push_back(value);
  const auto n = static_cast<int64_t>(window.size());
  if (n > limit) window.erase(window.begin(), window.begin() + (n - limit));
}

Trouble spike(bool of_loss, int64_t step, double value, double threshold) {
  return {
      of_loss ? "loss_spike" : "gradient_spike", value, threshold, "",
      concat(of_loss ? "the loss" : "the gradient norm", " of step ", step, " is a spike (found ",
             plain_number(value), ", expected at most ", plain_number(threshold), ")")};
}

std::vector<double> numbers(const Json& list) {
  std::vector<double> result;
  for (const Json& each : list.as_array()) result.push_back(each.as_number());
  return result;
}

}  // namespace

std::optional<double> spike_threshold(const std::vector<double>& values, int64_t window,
                                      double factor) {
  if (factor <= 0.0 || static_cast<int64_t>(values.size()) < window) return std::nullopt;
  const double median = median_of(values);
  std::vector<double> distances = values;
  for (double& value : distances) value = std::abs(value - median);
  const double deviation = std::max(1.4826 * median_of(distances), 0.01 * std::abs(median));
  return median + factor * deviation;
}

std::string remedy_name(Remedy remedy) {
  switch (remedy) {
    case Remedy::kReport:
      return "report";
    case Remedy::kStop:
      return "stop";
    case Remedy::kSkip:
      return "skip";
    case Remedy::kRollback:
      return "rollback";
  }
  return "";
}

Json stability_json(const StabilityState& state) {
  return Json(Json::Object{{"losses", Json::array_of(state.losses)},
                           {"gradient_norms", Json::array_of(state.gradient_norms)},
                           {"skipped", state.skipped},
                           {"rollbacks", state.rollbacks},
                           {"in_a_row", state.in_a_row},
                           {"last_trouble", state.last_trouble},
                           {"n_events", state.n_events},
                           {"last_spike", state.last_spike}});
}

StabilityState stability_from(const Json& json) {
  StabilityState state;
  state.losses = numbers(json.at("losses"));
  state.gradient_norms = numbers(json.at("gradient_norms"));
  state.skipped = json.at("skipped").as_integer();
  state.rollbacks = json.at("rollbacks").as_integer();
  state.in_a_row = json.at("in_a_row").as_integer();
  state.last_trouble = json.at("last_trouble").as_integer();
  state.n_events = json.at("n_events").as_integer();
  state.last_spike = json.at("last_spike").as_integer();
  return state;
}

std::optional<Trouble> StabilityWatch::find_trouble(const StepReport& report, int64_t step) const {
  if (report.not_finite) {
    const NotFinite& found = *report.not_finite;
    return Trouble{found.in_loss ? "loss_not_finite" : "gradient_not_finite",
                   found.value,
                   {},
                   found.where,
                   found.text};
  }
  if (settings_.on_spike == "none") return std::nullopt;
  const auto loss = spike_threshold(state_.losses, settings_.window, settings_.loss_spike);
  if (loss && report.loss.ce > *loss) return spike(true, step, report.loss.ce, *loss);
  const auto norm =
      spike_threshold(state_.gradient_norms, settings_.window, settings_.gradient_spike);
  if (norm && report.grad_norm > *norm) return spike(false, step, report.grad_norm, *norm);
  return std::nullopt;
}

Remedy StabilityWatch::remedy(const Trouble& trouble) const {
  const std::string& wanted = trouble.threshold ? settings_.on_spike : settings_.on_not_finite;
  if (wanted == "report") return Remedy::kReport;
  if (wanted == "stop" || state_.in_a_row >= settings_.max_in_a_row) return Remedy::kStop;
  return wanted == "skip" ? Remedy::kSkip : Remedy::kRollback;
}

std::string StabilityWatch::last_words(const Trouble& trouble) const {
  const bool gave_up = state_.in_a_row > 0 && state_.in_a_row >= settings_.max_in_a_row;
  return concat("train: ", trouble.text,
                gave_up ? concat(", after ", state_.in_a_row, " in a row (stability.max_in_a_row)")
                        : std::string(),
                kNothingUpdated);
}

void StabilityWatch::took(const StepReport& report, int64_t step) {
  if (!on()) return;
  push(state_.losses, report.loss.ce, settings_.window);
  push(state_.gradient_norms, report.grad_norm, settings_.window);
  if (step > state_.last_trouble) state_.in_a_row = 0;
}

void StabilityWatch::met(const Trouble& trouble, Remedy remedy, int64_t step) {
  if (remedy == Remedy::kStop) return;
  ++state_.n_events;
  if (trouble.threshold) state_.last_spike = step;
  if (remedy == Remedy::kReport) return;
  ++(remedy == Remedy::kSkip ? state_.skipped : state_.rollbacks);
  ++state_.in_a_row;
  state_.last_trouble = std::max(state_.last_trouble, step);
}

void StabilityWatch::begin_phase() {
  state_.losses.clear();
  state_.gradient_norms.clear();
}

void StabilityWatch::go_back(const StabilityState& then) {
  state_.losses = then.losses;
  state_.gradient_norms = then.gradient_norms;
}

bool StabilityWatch::chooses_by_older_router(int64_t step) const {
  if (settings_.older_router_steps == 0) return false;
  if (settings_.older_router_span == 0) return true;
  return state_.last_spike > 0 && step <= state_.last_spike + settings_.older_router_span;
}

Json StabilityWatch::thresholds() const {
  Json json = Json::object();
  if (settings_.on_spike == "none") return json;
  const auto add = [&](const char* name, const std::vector<double>& window, double factor) {
    if (const auto threshold = spike_threshold(window, settings_.window, factor)) {
      json[name] = *threshold;
    }
  };
  add("stability/loss_threshold", state_.losses, settings_.loss_spike);
  add("stability/gradient_threshold", state_.gradient_norms, settings_.gradient_spike);
  return json;
}

Json StabilityWatch::counts() const {
  Json json = Json::object();
  if (!on()) return json;
  json["stability/skipped"] = state_.skipped;
  json["stability/rollbacks"] = state_.rollbacks;
  return json;
}

Json trouble_record(const Trouble& trouble, Remedy remedy, int64_t step, const Json& position,
                    const StepsSince& since) {
  return Json(Json::Object{
      {"step", step},
      {"kind", trouble.kind},
      {"value", trouble.value},
      {"threshold", trouble.threshold ? Json(*trouble.threshold) : Json()},
      {"where", trouble.where.empty() ? Json() : Json(trouble.where)},
      {"action", remedy_name(remedy)},
      {"data_position", position},
      {"since", Json(Json::Object{{"step", since.step}, {"data_position", since.data_position}})}});
}

StabilityEvents::StabilityEvents(const std::string& run_folder, int64_t n_events)
    : path_(run_folder + "/stability.jsonl") {
  if (!path_exists(path_)) return;
  const std::string before = read_text_file(path_);
  for (size_t begin = 0; begin < before.size();) {
    const size_t end = std::min(before.find('\n', begin), before.size());
    const std::string line = before.substr(begin, end - begin);
    begin = end + 1;
    const bool stop = parse_json(line, path_).at("action") == Json("stop");
    if (stop || n_events-- > 0) text_ += line + "\n";
  }
  if (text_ != before) write_file_atomically(path_, text_);
}

void StabilityEvents::write(const Json& event) {
  text_ += event.dump() + "\n";
  write_file_atomically(path_, text_);
}

}  // namespace hadal
