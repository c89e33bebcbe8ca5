#include "hadal/reproduce/runner.h"

#include "hadal/core/error.h"
#include "hadal/core/interrupt.h"
#include "hadal/core/log.h"
#include "hadal/io/atomic_write.h"
#include "hadal/reproduce/train_runs.h"

namespace hadal {
namespace {

struct PlannedTrial {
  std::string variant;
  int64_t seed = 0;
  bool other_order = false;
};

std::vector<PlannedTrial> planned_trials(const Experiment& experiment, int64_t seeds) {
  std::vector<PlannedTrial> trials;
  for (int64_t seed = 0; seed < seeds; ++seed) {
    for (const std::string& variant : experiment.variants) trials.push_back({variant, seed});
  }
  if (experiment.trains_variants) trials.push_back({experiment.variants.front(), 0, true});
  return trials;
}

TrainConfig config_of(const Experiment& experiment, const PlannedTrial& trial,
                      const ReproduceOptions& options) {
  Effort effort = options.effort;
  if (effort.tokens == 0) effort.tokens = experiment.default_tokens;
  TrainConfig config = experiment.training(effort, trial.variant);
  config.train.seed = trial.seed;
  // Half the micro-batch: the same gradient, added up in another order.
  if (trial.other_order) config.train.micro_batch_sequences /= 2;
  config.train.out = options.out + "/runs/" + settings_hash(config);
  return config;
}

}  // namespace

std::vector<Outcome> run_experiment(Context& ctx, const Experiment& experiment,
                                    const ReproduceOptions& options) {
  require(options.seeds >= 1, {.field = "seeds",
                               .problem = "out of range",
                               .found = options.seeds,
                               .expected = "1 or more, 3 for a page"});
  require(
      options.jobs >= 1,
      {.field = "jobs", .problem = "out of range", .found = options.jobs, .expected = "1 or more"});
  require(options.jobs == 1 || ctx.device == Device::kCpu,
          {.field = "jobs",
           .problem = "runs beside each other compute on the CPU alone",
           .found = options.jobs,
           .expected = "1 on another device"});
  make_folders(options.out + "/runs");
  const std::vector<PlannedTrial> trials = planned_trials(experiment, options.seeds);
  std::vector<TrainConfig> runs;
  for (const PlannedTrial& planned : trials) {
    if (experiment.training) runs.push_back(config_of(experiment, planned, options));
  }
  train_runs(ctx, std::move(runs), {.jobs = options.jobs, .resume = options.resume});
  std::vector<Outcome> outcomes;
  for (size_t i = 0; i < trials.size(); ++i) {
    const PlannedTrial& planned = trials[i];
    Outcome outcome{
        .variant = planned.variant, .seed = planned.seed, .other_order = planned.other_order};
    Trial trial{planned.variant, planned.seed, nullptr, options.effort.quick};
    TrainConfig config;
    log_note(experiment.name, ": ", i + 1, " of ", trials.size(), ", ", planned.variant, ", seed ",
             planned.seed, planned.other_order ? ", other order of summation" : "");
    if (experiment.training) {
      config = config_of(experiment, planned, options);
      outcome.run = settings_hash(config);
      trial.run = &config;
    }
    experiment.measure(ctx, trial, outcome);
    outcomes.push_back(std::move(outcome));
    if (interrupted()) {
      throw Interrupted(Complaint{.place = options.out,
                                  .problem = "stopped by a signal; finished runs are kept",
                                  .advice = "the same call with {resume} goes on"});
    }
  }
  if (experiment.compare_runs) experiment.compare_runs(outcomes);
  return outcomes;
}

}  // namespace hadal
