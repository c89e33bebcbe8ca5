// cli/cmd_train.cc: `hadal train`
#include "hadal/cli/commands.h"
#include "hadal/core/error.h"
#include "hadal/core/interrupt.h"
#include "hadal/ops/compute_device.h"
#include "hadal/train/spread_run.h"

namespace hadal::cli {
namespace {

struct TrainOptions {
  std::string config, out;
  std::vector<std::string> set;
  bool resume = false;
};

void bind(Flags& flags, TrainOptions& o) {
  for (const char* name : {"text_field", "encoding", "max_document_bytes"}) {
    flags.library_names({{name, concat("data.", name)}});
  }
  flags.example("hadal train --config run.toml --out runs/first", "start a run");
  flags.example("hadal train --resume --out runs/first", "go on where it was interrupted");
  flags.example("hadal train --config run.toml --out runs/lr --set optimizer.learning_rate=1e-3",
                "the same run with one setting changed");
  flags.example("mpirun -n 4 hadal train --config run.toml --out runs/four",
                "on four ranks, spread as [parallel] says");
  flags.option("config,-c", o.config, "run configuration (TOML)");
  flags.option("set", o.set, "section.key=value, stronger than the file; repeatable");
  flags.option("out,-o", o.out, "the run's folder");
  flags.flag("resume", o.resume, "go on from the newest valid checkpoint in --out");
}

// Settings that cannot be read are for the first process to tell of.
template <class Settings>
int follow(int threads, const Settings& settings) {
  TrainConfig::Parallel parallel;
  try {
    parallel = settings().parallel;
  } catch (const Error&) {
  }
  follow_leader(threads, parallel);
  return 0;
}

int run(const TrainOptions& o, const CommonOptions& common, Output& out) {
  // The folder of an interrupted run says how it was configured.
  const bool from_folder = o.resume && o.config.empty();
  require(!from_folder || !o.out.empty(), {.field = "--resume",
                                           .problem = "which run?",
                                           .found = "neither --out nor --config",
                                           .advice = "give the folder of the run with --out"});
  std::vector<std::string> assignments = o.set;
  if (!o.out.empty()) assignments.push_back("train.out=" + Json(o.out).dump());
  if (common.seed_given) assignments.push_back(concat("train.seed=", common.seed));
  catch_interrupts();
  const auto settings = [&] {
    return read_train_config(from_folder ? o.out + "/run.toml" : o.config, assignments);
  };
  if (is_led()) return follow(common.threads, settings);
  const TrainConfig config = settings();
  const SpreadRun spread = plan_spread(config, common.threads);
  if (spread.n_ranks > 1) {
    require(common.chosen_device() == Device::kCpu, {.field = "--device",
                                                     .problem = "ranks compute on the host",
                                                     .found = "another device",
                                                     .expected = "cpu"});
    out.report(pretrain_spread(spread, config, o.resume));
    return 0;
  }
  const ComputeDevice device(common.chosen_device());
  ThreadPool pool(common.threads);
  Arena arena(device.memory());
  Context ctx = device.context(pool, arena);
  out.report(pretrain(ctx, config, o.resume));
  return 0;
}

}  // namespace

Command make_train_command() {
  return define_command<TrainOptions>("train", "pre-train a model, or go on with a run", bind, run);
}

}  // namespace hadal::cli
