#include "hadal/reproduce/runner.h"

#include <algorithm>
#include <exception>
#include <mutex>
#include <set>
#include <thread>

#include "hadal/core/error.h"
#include "hadal/core/interrupt.h"
#include "hadal/core/log.h"
#include "hadal/corpus/content_hash.h"
#include "hadal/data/dataset.h"
#include "hadal/io/atomic_write.h"
#include "hadal/io/path_status.h"
#include "hadal/train/pretrain.h"
#include "hadal/train/run_start.h"

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

bool finished(const TrainConfig& config) {
  return is_regular_file(config.train.out + "/summary.json");
}

void train_run(Context& ctx, const TrainConfig& config, bool resume) {
  const bool begun = is_regular_file(config.train.out + "/run.toml");
  require(!begun || resume, {.place = config.train.out,
                             .problem = "an unfinished run is there",
                             .advice = "go on with {resume}, or choose another {out}"});
  try {
    const Json summary = pretrain(ctx, config, begun);
    write_file_atomically(config.train.out + "/summary.json", summary.dump(2) + "\n");
  } catch (const Interrupted&) {
    throw Interrupted(Complaint{.place = config.train.out,
                                .problem = "stopped by a signal, saved",
                                .advice = "the same call with {resume} goes on"});
  }
}

// The runs that are still to be trained, `jobs` of them at a time with a share of the threads each: small
// models gain more from a thread of their own than from several for one.
class MissingRuns {
 public:
  MissingRuns(std::vector<TrainConfig> configs, const ReproduceOptions& options)
      : configs_(std::move(configs)), options_(options) {}

  void train(Context& ctx) {
    // Text is prepared once, before several would begin with it.
    for (const TrainConfig& config : configs_) prepare_data(settled(config, {}, 1).data, ctx.pool);
    const auto jobs = std::min(std::ssize(configs_), options_.jobs);
    if (jobs <= 1) {
      work(ctx);
    } else {
      const int threads = std::max(1, ctx.pool.n_threads() / static_cast<int>(jobs));
      std::vector<std::jthread> workers;
      for (int64_t i = 0; i < jobs; ++i)
        workers.emplace_back([this, threads] { work_beside(threads); });
    }
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  void work_beside(int threads) {
    ThreadPool pool(threads);
    Arena arena;
    Context ctx(pool, arena);
    work(ctx);
  }

  // After a failure nothing new is begun; runs on the way go to their end.
  void work(Context& ctx) {
    while (const TrainConfig* config = next()) {
      try {
        train_run(ctx, *config, options_.resume);
      } catch (...) {
        const std::scoped_lock lock(mutex_);
        if (!failure_) failure_ = std::current_exception();
      }
    }
  }

  const TrainConfig* next() {
    const std::scoped_lock lock(mutex_);
    if (failure_ || taken_ == configs_.size()) return nullptr;
    const TrainConfig& config = configs_[taken_++];
    log_note("run ", taken_, " of ", configs_.size(),
             " that are to be trained: ", config.train.out);
    return &config;
  }

  std::vector<TrainConfig> configs_;
  const ReproduceOptions& options_;
  std::mutex mutex_;
  size_t taken_ = 0;
  std::exception_ptr failure_;
};

void train_missing(Context& ctx, const Experiment& experiment,
                   const std::vector<PlannedTrial>& trials, const ReproduceOptions& options) {
  std::vector<TrainConfig> missing;
  std::set<std::string> folders;
  for (const PlannedTrial& trial : trials) {
    TrainConfig config = config_of(experiment, trial, options);
    if (finished(config) || !folders.insert(config.train.out).second) continue;
    missing.push_back(std::move(config));
  }
  MissingRuns(std::move(missing), options).train(ctx);
}

}  // namespace

std::string settings_hash(const TrainConfig& config) {
  TrainConfig run = config, defaults;
  run.train.out.clear();
  run.data.cache_dir.clear();
  for (std::string& path : run.data.paths) path = absolute_path(path);
  const std::vector<Setting> values = settings_table(run), usual = settings_table(defaults);
  std::string changed;
  for (size_t i = 0; i < values.size(); ++i) {
    const std::string value = setting_value(values[i]).dump();
    if (value != setting_value(usual[i]).dump())
      changed += concat(values[i].name, "=", value, "\n");
  }
  changed += config.model.overrides.dump();
  for (const TrainConfig::Phase& phase : config.phases) {
    changed += concat("\n", phase.name, phase.settings.root.dump());
  }
  return hex(exact_hash(changed)).substr(0, 12);
}

std::vector<Outcome> run_experiment(Context& ctx, const Experiment& experiment,
                                    const ReproduceOptions& options) {
  require(options.seeds >= 1, {.field = "seeds",
                               .problem = "out of range",
                               .found = options.seeds,
                               .expected = "1 or more, 3 for a page"});
  require(options.jobs >= 1, {.field = "jobs",
                              .problem = "out of range",
                              .found = options.jobs,
                              .expected = "1 or more, at most as many as threads"});
  make_folders(options.out + "/runs");
  const std::vector<PlannedTrial> trials = planned_trials(experiment, options.seeds);
  if (experiment.training) train_missing(ctx, experiment, trials, options);
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
