#include "hadal/core/error.h"
#include "hadal/core/nearest.h"
#include "hadal/reproduce/experiment.h"
#include "hadal/reproduce/makers.h"

namespace hadal {

const std::vector<Experiment>& experiments() {
  static const std::vector<Experiment> all = {
      make_fp8_vs_bf16(),
      make_loss_free_balance(),
      make_expert_specialization(),
      make_mtp(),
      make_granularity(),
      make_accumulation(),
      make_blockwise_gradient(),
      make_e4m3_vs_e5m2(),
      make_scale_kind(),
      make_zero_and_tiny(),
      make_context_extension(),
  };
  return all;
}

const Experiment& find_experiment(const std::string& name) {
  std::vector<std::string> known;
  for (const Experiment& each : experiments()) {
    if (each.name == name) return each;
    known.push_back(each.name);
  }
  std::string names;
  for (const std::string& each : known) names += (names.empty() ? "" : ", ") + each;
  throw ConfigError(Complaint{.field = "experiment",
                              .problem = "no such experiment",
                              .found = name,
                              .expected = names,
                              .advice = did_you_mean(name, known)});
}

}  // namespace hadal
