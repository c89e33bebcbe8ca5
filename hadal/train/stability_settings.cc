#include "hadal/train/stability_settings.h"

#include "hadal/core/error.h"
#include "hadal/train/stability.h"

namespace hadal {

void add_stability_settings(std::vector<Setting>& table, TrainConfig::Stability& s) {
  const std::vector<Setting> own = {
      {.name = "stability.on_spike",
       .target = &s.on_spike,
       .help = "of the loss or the gradient norm; none: not looked for, skip: no update, rollback: "
               "back to a checkpoint and on with the text that follows",
       .choices = {"none", "report", "stop", "skip", "rollback"}},
      {.name = "stability.on_not_finite",
       .target = &s.on_not_finite,
       .help = "where the loss or a gradient is not finite",
       .choices = {"stop", "skip", "rollback"}},
      {"stability.window", &s.window, "updates whose values say what is usual", 4, 1e5},
      {"stability.loss_spike", &s.loss_spike,
       "deviations above the window's median that make a spike; 0: not looked for", 0, 1e9},
      {"stability.gradient_spike", &s.gradient_spike, "the same of the gradient norm", 0, 1e9},
      {"stability.max_in_a_row", &s.max_in_a_row,
       "skips and rollbacks without getting past the trouble, until the run stops", 1, 1e6},
  };
  table.insert(table.end(), own.begin(), own.end());
}

void validate_stability(const TrainConfig& config) {
  const TrainConfig::Stability& s = config.stability;
  require(s.on_spike == "none" || s.loss_spike > 0 || s.gradient_spike > 0,
          {.field = "stability.on_spike",
           .problem = "nothing finds a spike",
           .found = "0 for loss_spike and gradient_spike",
           .advice = "set one of them, or on_spike to none"});
  require(!StabilityWatch(s).rolls_back() || config.checkpoint.every_steps > 0,
          {.field = "checkpoint.every_steps",
           .problem = "a rollback needs checkpoints at steps of their own",
           .found = config.checkpoint.every_steps,
           .expected = "1 or more",
           .advice = "where a run goes back to must not depend on the machine's speed"});
}

}  // namespace hadal
