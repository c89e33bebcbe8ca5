#include "hadal/reproduce/package.h"

#include <algorithm>
#include <filesystem>

#include "hadal/core/clock.h"
#include "hadal/corpus/document_source.h"
#include "hadal/io/atomic_folder.h"
#include "hadal/io/atomic_write.h"
#include "hadal/io/manifest.h"
#include "hadal/io/path_status.h"
#include "hadal/reproduce/run_inputs.h"
#include "hadal/train/config.h"
#include "hadal/train/phases.h"
#include "hadal/train/run_folder.h"
#include "hadal/train/run_history.h"
#include "hadal/train/run_plan.h"
#include "hadal/train/stability.h"
#include "hadal/train/training_checkpoint.h"

namespace hadal {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFormat = "hadal package 1";

// The files of the run that go along as they are; the last two need not be there.
constexpr const char* kRunFiles[] = {"run.toml", "metrics.jsonl", "report.html", "data_files.json"};

std::string newest_checkpoint(const std::string& run_folder) {
  require(path_exists(run_folder + "/run.toml"), {.place = run_folder,
                                                  .problem = "not the folder of a run",
                                                  .found = "no run.toml",
                                                  .advice = "give what hadal train wrote"});
  const std::string checkpoints = run_folder + "/checkpoints";
  const std::vector<int64_t> steps = checkpoint_steps(checkpoints);
  require(!steps.empty(), {.place = run_folder,
                           .problem = "a run without a checkpoint",
                           .found = "nothing in checkpoints/",
                           .advice = "let it train until its first"});
  const std::string folder = checkpoints + "/" + checkpoint_name(steps.back());
  const std::string damage = find_damage(folder);
  if (!damage.empty()) {
    throw FormatError({.place = folder,
                       .problem = "the checkpoint is damaged",
                       .found = damage,
                       .advice = "go on with the run, which falls back to the one before"});
  }
  return folder;
}

Json checksums_in(const std::string& folder) {
  Json files = Json::object();
  for (const std::string& name : entry_names(folder)) {
    if (is_regular_file(folder + "/" + name)) files[name] = file_checksum(folder + "/" + name);
  }
  return files;
}

// state.json is compared by what it says, the manifest follows from the others.
Json checkpoint_json(const std::string& folder) {
  Json files = checksums_in(folder);
  std::erase_if(files.as_object(), [](const auto& file) {
    return file.first == "state.json" || file.first == "manifest.json";
  });
  Json json = Json::object();
  json["name"] = fs::path(folder).filename().string();
  json["files"] = std::move(files);
  json["state"] = state_without_clock(folder);
  return json;
}

// Did the plan end here? A run that was interrupted, or killed after this checkpoint, had steps left.
bool at_planned_end(const TrainConfig& config, const Json& state, const RunProgress& progress) {
  const auto phase = static_cast<int64_t>(progress.phases.size());
  if (phase + 1 != n_phases(config) || progress.data_position.is_null()) return false;
  const TrainConfig now = config_of_phase(config, phase);
  const PhaseBegin begin = progress.phases.empty() ? PhaseBegin{} : progress.phases.back();
  RunPlan plan(now);
  plan.restore(progress.planned_tokens, progress.elapsed_seconds);
  return plan.finished({state.at("step").as_integer() - begin.steps,
                        state.at("tokens").as_integer() - begin.tokens, 0},
                       progress.elapsed_seconds);
}

Json end_json(const TrainConfig& config, const std::string& checkpoint) {
  const Json state = state_without_clock(checkpoint);
  const RunProgress progress = read_run_progress(checkpoint);
  Json end = Json::object();
  end["step"] = state.at("step");
  end["tokens"] = state.at("tokens");
  end["planned_tokens"] = progress.planned_tokens;
  end["finished"] = at_planned_end(config, state, progress);
  end["rollbacks"] =
      progress.stability.is_null() ? int64_t{0} : stability_from(progress.stability).rollbacks;
  return end;
}

// Why one training from the beginning cannot give the same bits; "" if nothing speaks against it.
std::string why_not_repeatable(const TrainConfig& config, const Json& made_by, const Json& end) {
  const bool by_time = config.train.steps == 0 && config.train.tokens == 0;
  if (by_time && end.at("planned_tokens") == Json(0)) {
    return "it is limited by time alone and stopped before its plan of tokens was made";
  }
  if (!end.at("finished").as_bool() && end.at("rollbacks") != Json(0)) {
    return "it was cut off after it had gone back over steps: it passed that step more than once";
  }
  const Json::Array& entries = made_by.as_array();
  for (size_t i = 1; i < entries.size(); ++i) {
    for (const char* what : {"settings", "instruction_set", "device"}) {
      if (entries[i].at(what) == entries[i - 1].at(what)) continue;
      const bool settings = std::string(what) == "settings";
      return concat("from step ", entries[i].at("from_step").as_integer(), " on it has another ",
                    settings                        ? "value of a setting"
                    : std::string(what) == "device" ? "device"
                                                    : "instruction set",
                    " than before");
    }
  }
  for (size_t i = 1; i < entries.size(); ++i) {
    if (recorded_ranks(entries[i]) == recorded_ranks(entries[i - 1])) continue;
    return concat("from step ", entries[i].at("from_step").as_integer(),
                  " on it has another number of ranks than before");
  }
  if (!entries.empty() && entries.front().at("from_step") != Json(0)) {
    return "what its first steps were computed with was not recorded";
  }
  return "";
}

// Of a pattern or folder that another path covers, too, the copies would be read twice.
void refuse_overlap(const TrainConfig& config) {
  for (int64_t phase = 0; phase < n_phases(config); ++phase) {
    const std::vector<std::string> paths = config_of_phase(config, phase).data.paths;
    size_t one_by_one = 0;
    for (const std::string& path : paths) one_by_one += list_source_files({path}).size();
    require(list_source_files(paths).size() == one_by_one,
            {.field = "data.paths",
             .problem = "two of the paths name the same file",
             .advice = "leave {with_data} out, and give the text to whoever repeats the run"});
  }
}

Json inputs(const TrainConfig& config, const std::string& folder, const PackageOptions& options,
            Json& package) {
  Json data = Json::array();
  if (options.with_data) refuse_overlap(config);
  for (const std::string& path : text_paths(config)) {
    Json entry = text_entry(path);
    if (options.with_data) {
      copy_entry(entry, concat(folder, "/data/", data.as_array().size()));
    }
    data.push_back(std::move(entry));
  }
  if (!config.model.init.empty()) {
    package["init"] = model_entry(config.model.init);
    if (options.with_data) copy_entry(package.at("init"), folder + "/init");
  }
  if (!config.model.config.empty()) {
    copy_file_atomically(config.model.config, folder + "/config.json");
  }
  return data;
}

void copy_tokenizer(const std::string& checkpoint, const std::string& folder) {
  make_folders(folder);
  for (const std::string& name : entry_names(checkpoint)) {
    const bool weights = name.ends_with(".safetensors") || name.ends_with(".index.json");
    if (weights || name == "config.json" || name == "state.json" || name == "manifest.json" ||
        name == "generation_config.json") {
      continue;
    }
    copy_file_atomically(checkpoint + "/" + name, folder + "/" + name);
  }
}

Json all_checksums(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) {
      names.push_back(entry.path().lexically_relative(folder).generic_string());
    }
  }
  std::sort(names.begin(), names.end());
  Json files = Json::object();
  for (const std::string& name : names) files[name] = file_checksum(folder + "/" + name);
  return files;
}

}  // namespace

Json state_without_clock(const std::string& checkpoint) {
  Json state = parse_json_file(checkpoint + "/state.json");
  std::erase_if(state.as_object(),
                [](const auto& entry) { return entry.first == "elapsed_seconds"; });
  return state;
}

Json package_run(const std::string& run_folder, const std::string& out,
                 const PackageOptions& options) {
  const std::string checkpoint = newest_checkpoint(run_folder);
  require(!path_exists(out), {.place = out,
                              .problem = "there already",
                              .expected = "a new folder",
                              .advice = "choose another name"});
  const TrainConfig config = read_recorded_config(run_folder + "/run.toml");
  AtomicFolder whole(out);
  const std::string& folder = whole.temporary();
  Json package = Json::object();
  package["format"] = kFormat;
  package["run"] = fs::path(absolute_path(run_folder + "/.")).parent_path().filename().string();
  package["packed"] = rfc3339_utc(unix_seconds());
  package["seed"] = config.train.seed;
  package["end"] = end_json(config, checkpoint);
  package["made_by"] = read_run_history(run_folder);
  package["not_repeatable"] = why_not_repeatable(config, package.at("made_by"), package.at("end"));
  package["with_data"] = options.with_data;
  package["data"] = inputs(config, folder, options, package);
  package["checkpoint"] = checkpoint_json(checkpoint);
  const bool averaged =
      config.optimizer.ema_decay > 0 && package.at("end").at("finished").as_bool();
  package["ema"] = averaged ? checksums_in(run_folder + "/ema") : Json::object();
  for (const char* name : kRunFiles) {
    const std::string from = run_folder + "/" + name;
    if (path_exists(from)) copy_file_atomically(from, folder + "/" + name);
  }
  copy_tokenizer(checkpoint, folder + "/tokenizer");
  package["files"] = all_checksums(folder);
  write_file_atomically(folder + "/package.json", package.dump(2) + "\n");
  whole.commit();

  Json report = Json::object();
  report["package"] = out;
  report["step"] = package.at("end").at("step");
  report["tokens"] = package.at("end").at("tokens");
  report["finished"] = package.at("end").at("finished");
  report["files"] = std::ssize(package.at("files").as_object()) + 1;
  report["with_data"] = options.with_data;
  report["not_repeatable"] = package.at("not_repeatable");
  return report;
}

Json read_package(const std::string& folder) {
  const std::string path = folder + "/package.json";
  if (!path_exists(path)) {
    throw FormatError({.place = folder,
                       .problem = "not a package",
                       .found = "no package.json",
                       .advice = "give what hadal package wrote"});
  }
  Json package = parse_json_file(path);
  const Json* format = package.find("format");
  if (!format || *format != Json(kFormat)) {
    throw FormatError({.place = path,
                       .field = "format",
                       .problem = "not a package that this version reads",
                       .found = format ? format->dump() : "none",
                       .expected = kFormat});
  }
  for (const char* key :
       {"end", "made_by", "not_repeatable", "with_data", "data", "checkpoint", "ema", "files"}) {
    if (package.find(key)) continue;
    throw FormatError(
        {.place = path, .field = key, .problem = "missing", .advice = "get the package again"});
  }
  for (const auto& [name, expected] : package.at("files").as_object()) {
    const Json found = file_checksum(folder + "/" + name);
    if (found == expected) continue;
    throw FormatError({.place = folder + "/" + name,
                       .problem = "not as it was packed",
                       .found = found.dump(),
                       .expected = expected.dump(),
                       .advice = "get the package again"});
  }
  return package;
}

}  // namespace hadal
