#include "hadal/train/run_history.h"

#include <utility>

#include "hadal/corpus/content_hash.h"
#include "hadal/io/atomic_write.h"
#include "hadal/io/manifest.h"
#include "hadal/io/path_status.h"
#include "hadal/ops/compute_device.h"

namespace hadal {
namespace {

std::string history_path(const std::string& run_folder) { return run_folder + "/made_by.json"; }

// Where things lie, how often they are saved or said: no number of the run depends on it.
std::string deciding_settings(TrainConfig config) {
  config.train.out.clear();
  config.data.cache_dir.clear();
  config.data.paths.clear();
  config.checkpoint = {.dtype = config.checkpoint.dtype};
  config.log = {.load_every_steps = config.log.load_every_steps};
  return hex(exact_hash(resolved_toml(config)));
}

bool same_but_threads(Json a, Json b) {
  for (Json* each : {&a, &b}) {
    (*each)["threads"] = 0;
    (*each)["from_step"] = 0;
    (*each)["ranks"] = recorded_ranks(*each);
  }
  return a == b;
}

}  // namespace

Json circumstances(const Context& ctx, const TrainConfig& config, int n_ranks) {
  Json now = Json::object();
  now["from_step"] = 0;
  now["version"] = HADAL_VERSION;
  now["build"] = file_checksum("/proc/self/exe").at("xxh3_64");
  now["compiler"] = __VERSION__;
  now["instruction_set"] = instruction_set();
  now["device"] = ctx.device == Device::kCuda ? "cuda" : "cpu";
  now["ranks"] = n_ranks;
  now["threads"] = ctx.pool.n_threads();
  now["settings"] = deciding_settings(config);
  return now;
}

int recorded_ranks(const Json& entry) {
  const Json* ranks = entry.find("ranks");
  return ranks ? static_cast<int>(ranks->as_integer()) : 1;
}

void record_circumstances(const std::string& run_folder, int64_t step, Json now) {
  now["from_step"] = step;
  Json kept = Json::array();
  const Json before = step > 0 ? read_run_history(run_folder) : Json::array();
  for (const Json& entry : before.as_array()) {
    if (entry.at("from_step").as_integer() < step) kept.push_back(entry);
  }
  const Json::Array& entries = kept.as_array();
  if (entries.empty() || !same_but_threads(entries.back(), now)) kept.push_back(std::move(now));
  write_file_atomically(history_path(run_folder), kept.dump(2) + "\n");
}

Json read_run_history(const std::string& run_folder) {
  if (!path_exists(history_path(run_folder))) return Json::array();
  Json history = parse_json_file(history_path(run_folder));
  if (!history.is_array()) {
    throw FormatError({.place = history_path(run_folder),
                       .problem = "not a run's record",
                       .found = history.type_name(),
                       .expected = "a list"});
  }
  return history;
}

}  // namespace hadal
