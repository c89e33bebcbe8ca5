#include "hadal/reproduce/repeat.h"

#include "hadal/core/log.h"
#include "hadal/io/manifest.h"
#include "hadal/io/path_status.h"
#include "hadal/ops/compute_device.h"
#include "hadal/reproduce/metrics_difference.h"
#include "hadal/reproduce/package.h"
#include "hadal/reproduce/run_inputs.h"
#include "hadal/train/metrics.h"
#include "hadal/train/pretrain.h"
#include "hadal/train/run_history.h"
#include "hadal/train/spread_run.h"

namespace hadal {
namespace {

// Where a run's files are on this machine, and that they are the recorded ones. `find` makes the entry of a
// path; `setting` is what the user says it with.
std::string checked_place(const Json& entry, const std::string& path, const char* setting,
                          Json (*find)(const std::string&)) {
  Json found;
  try {
    found = find(path);
  } catch (const Error&) {
    throw ConfigError({.field = setting,
                       .problem = "what the run began with is not here",
                       .found = {"nothing at ", path},
                       .advice = {"say with {", setting, "} where it is"}});
  }
  const std::string difference = different_files(entry, found);
  require(difference.empty(),
          {.place = path,
           .problem = "not what the run began with",
           .found = difference,
           .advice = {"put it there as it was, or say with {", setting, "} where it is"}});
  return path;
}

// Paths of the package's texts on this machine, in its order.
std::vector<std::string> text_places(const Json& package, const std::string& folder,
                                     const std::vector<std::string>& given) {
  const Json::Array& entries = package.at("data").as_array();
  require(given.empty() || given.size() == entries.size(),
          {.field = "data",
           .problem = "one path for each path of the run",
           .found = given.size(),
           .expected = {entries.size(), ", the first for ",
                        entries.empty() ? "" : entries[0].at("path").as_string()},
           .advice = "give them in the order of package.json"});
  const bool with_data = package.at("with_data").as_bool();
  std::vector<std::string> places;
  for (size_t i = 0; i < entries.size(); ++i) {
    const std::string path = !given.empty() ? given[i]
                             : with_data    ? path_of_copy(entries[i], concat(folder, "/data/", i))
                                            : entries[i].at("path").as_string();
    places.push_back(checked_place(entries[i], absolute_path(path), "data", text_entry));
  }
  return places;
}

// The run's settings with this machine's places, its end as it was.
TrainConfig repeated_config(const Json& package, const std::string& folder,
                            const RepeatOptions& options) {
  TrainConfig config = read_recorded_config(folder + "/run.toml");
  config.train.out = options.out;
  config.data.cache_dir.clear();
  const std::vector<std::string> places = text_places(package, folder, options.data);
  const Json::Array& entries = package.at("data").as_array();
  replace_text_paths(config, [&](const std::string& path) {
    for (size_t i = 0; i < entries.size(); ++i) {
      if (entries[i].at("path").as_string() == path) return places[i];
    }
    return path;
  });
  if (const Json* init = package.find("init")) {
    const std::string path = !options.init.empty() ? options.init
                             : package.at("with_data").as_bool()
                                 ? path_of_copy(*init, folder + "/init")
                                 : init->at("path").as_string();
    config.model.init = checked_place(*init, absolute_model(path), "init", model_entry);
  }
  if (!config.model.config.empty()) config.model.config = absolute_path(folder + "/config.json");
  if (!config.data.tokenizer.empty()) config.data.tokenizer = absolute_path(folder + "/tokenizer");
  // A plan that followed from a measured speed is one of tokens now.
  if (config.train.steps == 0 && config.train.tokens == 0) {
    config.train.tokens = package.at("end").at("planned_tokens").as_integer();
  }
  config.train.max_seconds = 0;
  config.checkpoint.keep = std::max<int64_t>(config.checkpoint.keep, 1);
  return config;
}

// What this machine computes with, against what the run was made by.
void check_circumstances(const Context& ctx, const Json& package) {
  const Json::Array& made_by = package.at("made_by").as_array();
  if (made_by.empty()) {
    log_warning(
        "the run did not record what it was made by; other bits may come from another build");
    return;
  }
  const Json here = circumstances(ctx, TrainConfig{}, 1);
  const Json& there = made_by.back();
  for (const auto& [name, what] :
       {std::pair{"device", "another device"}, {"instruction_set", "another instruction set"}}) {
    if (here.at(name) == there.at(name)) continue;
    throw Unavailable({.place = "repeat",
                       .problem = {what, " than the run was made with: sums end in other bits"},
                       .found = here.at(name).as_string(),
                       .expected = there.at(name).as_string(),
                       .advice = {"repeat it where there is ", there.at(name).as_string()}});
  }
  if (here.at("build") != there.at("build")) {
    log_note("another build (version ", here.at("version").as_string(), ", compiler ",
             here.at("compiler").as_string(), ") than the run's (", there.at("version").as_string(),
             ", ", there.at("compiler").as_string(), "): if bits differ, that may be why");
  }
}

void compare_files(const std::string& folder, const std::string& name, const Json& recorded,
                   Json& differing) {
  for (const auto& [file, expected] : recorded.as_object()) {
    const std::string path = folder + "/" + file;
    if (!path_exists(path)) {
      differing.push_back(concat(name, "/", file, ": not there"));
    } else if (const Json found = file_checksum(path); found != expected) {
      differing.push_back(
          concat(name, "/", file, ": ", found.dump(), ", recorded ", expected.dump()));
    }
  }
}

void compare_state(const Json& recorded, const Json& found, Json& differing) {
  for (const auto& [key, value] : recorded.as_object()) {
    const Json* now = found.find(key);
    if (now && *now == value) continue;
    differing.push_back(concat("state.json: ", key, now ? " differs" : " is missing"));
  }
}

Json comparison(const std::string& folder, const Json& package, const std::string& run) {
  const Json& checkpoint = package.at("checkpoint");
  const int64_t last_step = package.at("end").at("step").as_integer();
  Json differing = Json::array();
  const MetricsDifference metrics =
      first_difference(read_metrics(folder, last_step), read_metrics(run, last_step));
  if (!metrics.text.empty()) {
    differing.push_back(concat("step ", metrics.step, ": ", metrics.text));
  }
  const std::string& name = checkpoint.at("name").as_string();
  const std::string saved = run + "/checkpoints/" + name;
  compare_files(saved, name, checkpoint.at("files"), differing);
  if (path_exists(saved + "/state.json")) {
    compare_state(checkpoint.at("state"), state_without_clock(saved), differing);
  }
  compare_files(run + "/ema", "ema", package.at("ema"), differing);
  Json report = Json::object();
  report["equal"] = differing.as_array().empty();
  report["steps"] = last_step;
  report["files"] = std::ssize(checkpoint.at("files").as_object()) + 1 +
                    std::ssize(package.at("ema").as_object());
  report["first_step"] = metrics.text.empty() ? Json() : Json(metrics.step);
  report["differing"] = std::move(differing);
  report["run"] = run;
  return report;
}

int ranks_of(const Json& package) {
  const Json::Array& made_by = package.at("made_by").as_array();
  return made_by.empty() ? 1 : recorded_ranks(made_by.back());
}

// Ranks that were processes are threads here: the same bytes.
void train_again(Context& ctx, TrainConfig config, int n_ranks, bool begun, const TrainStop& stop) {
  if (n_ranks == 1) {
    pretrain(ctx, config, begun, stop);
    return;
  }
  config.parallel.data = n_ranks / config.parallel.pipeline;  // as the launcher's ranks left
  config.parallel.trace.clear();
  const SpreadRun spread{.n_ranks = n_ranks,
                         .by_launcher = false,
                         .threads_of_rank = std::max(1, ctx.pool.n_threads() / n_ranks)};
  pretrain_spread(spread, config, begun, stop);
}

}  // namespace

std::string packed_instruction_set(const std::string& package) {
  const Json made_by = read_package(package).at("made_by");
  const Json::Array& entries = made_by.as_array();
  return entries.empty() ? "" : entries.back().at("instruction_set").as_string();
}

Json repeat_package(Context& ctx, const std::string& folder, const RepeatOptions& options) {
  const Json package = read_package(folder);
  const std::string& reason = package.at("not_repeatable").as_string();
  if (!reason.empty()) {
    throw Unavailable(
        {.place = folder, .problem = "no single training gives this run again", .found = reason});
  }
  check_circumstances(ctx, package);
  const TrainConfig config = repeated_config(package, folder, options);
  const bool begun = options.resume && path_exists(options.out + "/run.toml");
  const TrainStop stop{.after_step = package.at("end").at("step").as_integer(),
                       .ends_run = package.at("end").at("finished").as_bool(),
                       .look = nullptr};
  try {
    train_again(ctx, config, ranks_of(package), begun, stop);
  } catch (const Interrupted& stopped) {
    throw Interrupted(
        Complaint{.place = "repeat",
                  .problem = stopped.problem,
                  .advice = {"go on with hadal repeat ", folder, " {resume} {out} ", options.out}});
  }
  return comparison(folder, package, options.out);
}

}  // namespace hadal
