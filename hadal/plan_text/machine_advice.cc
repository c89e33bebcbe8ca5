#include "hadal/plan_text/machine_advice.h"

#include <algorithm>
#include <cmath>

#include "hadal/core/error.h"
#include "hadal/core/number_text.h"

namespace hadal::cli {
namespace {

// What `result` becomes when `cell` is `value`.
double turned(Worksheet& sheet, const std::string& cell, double value, const std::string& result) {
  const bool was_given = sheet.cell(cell).origin == Origin::kGiven;
  const double before = sheet.value(cell);
  sheet.set(cell, value);
  const double changed = sheet.value(result);
  sheet.reset(cell);
  if (was_given && sheet.value(cell) != before) sheet.set(cell, before);
  return changed;
}

std::string duration(double seconds) {
  constexpr double kDay = 86400, kYear = 365.25 * kDay;
  if (seconds < 3 * kDay) return human_seconds(seconds);
  return seconds < 2 * kYear ? printed("%.3g days", seconds / kDay)
                             : printed("%.3g years", seconds / kYear);
}

std::string largest_part(const Worksheet& sheet) {
  const std::pair<const char*, double> parts[] = {
      {"weights, gradients and moments",
       sheet.value("memory_weights") + sheet.value("memory_gradients") +
           sheet.value("memory_moments") + sheet.value("memory_average")},
      {"activations of a pass", sheet.value("memory_saved") + sheet.value("memory_passing")},
      {"logits", sheet.value("memory_logits")},
      {"the program", sheet.value("memory_program")},
      {"held-out text", sheet.value("memory_evaluation")}};
  const auto* most = std::max_element(std::begin(parts), std::end(parts),
                                      [](auto& a, auto& b) { return a.second < b.second; });
  return concat("largest part: ", most->first, ", ", human_bytes(most->second));
}

void add_memory_knobs(Worksheet& sheet, MachineAdvice& advice) {
  const double memory = sheet.value("run_memory");
  const auto offer = [&](const char* setting, const char* cell, double value) {
    const double changed = turned(sheet, cell, value, "run_memory");
    if (changed < 0.97 * memory) {
      advice.knobs.push_back(
          concat(setting, ": ", human_bytes(changed), " instead of ", human_bytes(memory),
                 changed <= sheet.value("usable_memory") && !advice.fits ? ", which fits" : ""));
    }
  };
  if (sheet.value("micro_batch_sequences") > 1) {
    offer("train.micro_batch_sequences = 1", "micro_batch_sequences", 1);
  }
  offer("optimizer.moment_dtype = \"bf16\"", "moment_bytes", 2);
  if (!advice.fits) {
    const double per_parameter = memory / sheet.value("parameters_trained");
    advice.knobs.push_back(concat("a model of at most about ",
                                  human_count(sheet.value("usable_memory") / per_parameter),
                                  " parameters"));
  }
}

void add_time_knobs(Worksheet& sheet, MachineAdvice& advice) {
  const double seconds = sheet.value("run_seconds");
  const double without_mtp = turned(sheet, "n_mtp", 0, "run_seconds");
  if (without_mtp < 0.95 * seconds) {
    advice.knobs.push_back(concat("model.num_nextn_predict_layers = 0 (no MTP): ",
                                  duration(without_mtp), " instead of ", duration(seconds)));
  }
  if (sheet.value("optimizer_seconds") > 0.1 * sheet.value("step_seconds")) {
    const double twice = 2 * sheet.value("batch_sequences");
    advice.knobs.push_back(concat("train.batch_sequences = ", plain_number(twice), ": ",
                                  duration(turned(sheet, "batch_sequences", twice, "run_seconds")),
                                  " instead of ", duration(seconds),
                                  ", since the optimizer runs half as often"));
  }
}

}  // namespace

MachineAdvice machine_advice(Worksheet& sheet) {
  MachineAdvice advice;
  const double memory = sheet.value("run_memory"), usable = sheet.value("usable_memory");
  advice.fits = memory <= usable;
  advice.memory = concat(advice.fits ? "fits: " : "does not fit: ", human_bytes(memory), " of ",
                         human_bytes(usable), " usable; ", largest_part(sheet));
  const double optimizer = sheet.value("optimizer_seconds") / sheet.value("step_seconds");
  advice.time = concat(
      duration(sheet.value("run_seconds")), " for ", human_count(sheet.value("tokens")),
      " tokens at ", human_count(sheet.value("tokens_per_s")), " tokens/s; ",
      optimizer < 0.5 ? "arithmetic limits it (" : "memory bandwidth limits it (the optimizer: ",
      human_quantity(optimizer < 0.5 ? 1 - optimizer : optimizer, "fraction"), " of a step)");
  add_memory_knobs(sheet, advice);
  add_time_knobs(sheet, advice);
  return advice;
}

}  // namespace hadal::cli
