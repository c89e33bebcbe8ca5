#include "hadal/reproduce/runner.h"

#include <filesystem>

#include "hadal/core/error.h"
#include "hadal/core/interrupt.h"
#include "hadal/core/log.h"
#include "hadal/corpus/content_hash.h"
#include "hadal/io/atomic_folder.h"
#include "hadal/io/atomic_write.h"
#include "hadal/io/path_status.h"
#include "hadal/train/pretrain.h"

namespace hadal {
namespace {

namespace fs = std::filesystem;

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

void train_run(Context& ctx, const TrainConfig& config, bool resume);

bool begun(const TrainConfig& config) { return is_regular_file(config.train.out + "/run.toml"); }

// Each file is on the disk when it returns.
void copy_folder(const std::string& from, const std::string& to) {
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(from)) {
    const fs::path copy = to / entry.path().lexically_relative(from);
    if (entry.is_symlink()) {
      fs::copy_symlink(entry.path(), copy);
    } else if (entry.is_directory()) {
      make_folders(copy);
    } else {
      write_file_atomically(copy, read_text_file(entry.path()));
    }
  }
}

// The run's folder as it is when the first phase has ended: runs that differ in their later phases
// share it, and a run that goes on from there has the bytes of one that did all by itself.
void begin_behind_first_phase(Context& ctx, const TrainConfig& config, bool resume) {
  TrainConfig first = config;
  first.phases.clear();
  const std::string runs = folder_of(config.train.out);
  first.train.out = runs + "/" + settings_hash(first);
  if (!finished(first)) train_run(ctx, first, resume);
  AtomicFolder folder(config.train.out);
  copy_folder(first.train.out, folder.temporary());
  remove_file(folder.temporary() + "/summary.json");
  folder.commit();
}

void train_run(Context& ctx, const TrainConfig& config, bool resume) {
  require(!begun(config) || resume, {.place = config.train.out,
                                     .problem = "an unfinished run is there",
                                     .advice = "go on with {resume}, or choose another {out}"});
  if (!begun(config) && !config.phases.empty()) begin_behind_first_phase(ctx, config, resume);
  try {
    const Json summary = pretrain(ctx, config, begun(config));
    write_file_atomically(config.train.out + "/summary.json", summary.dump(2) + "\n");
  } catch (const Interrupted&) {
    throw Interrupted(Complaint{.place = config.train.out,
                                .problem = "stopped by a signal, saved",
                                .advice = "the same call with {resume} goes on"});
  }
}

}  // namespace

std::string settings_hash(const TrainConfig& config) {
  TrainConfig bare = config;
  bare.train.out.clear();
  bare.data.cache_dir.clear();
  return hex(exact_hash(resolved_toml(bare))).substr(0, 12);
}

std::vector<Outcome> run_experiment(Context& ctx, const Experiment& experiment,
                                    const ReproduceOptions& options) {
  require(options.seeds >= 1, {.field = "seeds",
                               .problem = "out of range",
                               .found = options.seeds,
                               .expected = "1 or more, 3 for a page"});
  make_folders(options.out + "/runs");
  const std::vector<PlannedTrial> trials = planned_trials(experiment, options.seeds);
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
      if (!finished(config)) train_run(ctx, config, options.resume);
    }
    experiment.measure(ctx, trial, outcome);
    outcomes.push_back(std::move(outcome));
    if (interrupted()) {
      throw Interrupted(Complaint{.place = options.out,
                                  .problem = "stopped by a signal; finished runs are kept",
                                  .advice = "the same call with {resume} goes on"});
    }
  }
  return outcomes;
}

}  // namespace hadal
