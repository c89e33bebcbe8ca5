#include "hadal/reproduce/run_inputs.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <utility>

#include "hadal/core/first_of_several.h"
#include "hadal/corpus/document_source.h"
#include "hadal/io/atomic_write.h"
#include "hadal/io/manifest.h"
#include "hadal/io/model_files.h"
#include "hadal/io/path_status.h"
#include "hadal/train/phases.h"

namespace hadal {
namespace {

namespace fs = std::filesystem;

// "/home/me/texts" is /home/me and texts, "/home/me/texts/*.txt" is /home/me/texts and *.txt, "/home/m*/a" is
// /home and m*/a.
std::pair<std::string, std::string> base_and_rest(const std::string& path) {
  const fs::path whole(fs::path(path).lexically_normal());
  fs::path base, rest;
  bool in_rest = false;
  const auto last = std::prev(whole.end());
  const bool plain = path_exists(path);
  for (auto part = whole.begin(); part != whole.end(); ++part) {
    const bool wild = !plain && part->native().find_first_of("*?[") != std::string::npos;
    in_rest = in_rest || wild || part == last;
    (in_rest ? rest : base) /= *part;
  }
  return {base.native(), rest.native()};
}

// Where the names of an entry's files begin.
std::string base_of(const std::string& path) {
  return is_folder(path) ? path : base_and_rest(path).first;
}

Json entry_of(const std::string& path, const std::vector<std::string>& files) {
  Json list = Json::array();
  for (const std::string& file : files) {
    Json one = Json::object();
    one["name"] = fs::path(file).lexically_relative(base_of(path)).generic_string();
    const Json sum = file_checksum(file);
    for (const auto& [key, value] : sum.as_object()) one[key] = value;
    list.push_back(std::move(one));
  }
  Json entry = Json::object();
  entry["path"] = path;
  entry["last"] = base_and_rest(path).second;
  entry["files"] = std::move(list);
  return entry;
}

std::map<std::string, Json> by_name(const Json& entry) {
  std::map<std::string, Json> files;
  for (const Json& file : entry.at("files").as_array()) {
    files[file.at("name").as_string()] = file;
  }
  return files;
}

}  // namespace

std::vector<std::string> text_paths(const TrainConfig& config) {
  std::vector<std::string> paths;
  for (int64_t phase = 0; phase < n_phases(config); ++phase) {
    for (const std::string& path : config_of_phase(config, phase).data.paths) {
      if (std::find(paths.begin(), paths.end(), path) == paths.end()) paths.push_back(path);
    }
  }
  return paths;
}

void replace_text_paths(TrainConfig& config,
                        const std::function<std::string(const std::string& path)>& other) {
  for (std::string& path : config.data.paths) path = other(path);
  for (TrainConfig::Phase& phase : config.phases) {
    Json& root = phase.settings.root;
    if (!root.find("data") || !root.at("data").find("paths")) continue;
    for (Json& path : root["data"]["paths"].as_array()) path = other(path.as_string());
  }
}

Json text_entry(const std::string& path) {
  std::vector<std::string> files;
  for (const SourceFile& file : list_source_files({path})) files.push_back(file.path);
  return entry_of(path, files);
}

Json model_entry(const std::string& path) {
  const std::string folder = model_folder(path);
  std::vector<std::string> files;
  for (const std::string& name : entry_names(folder)) {
    const bool weights = name.ends_with(".safetensors") && name != "training_state.safetensors";
    const bool tokenizer = name.starts_with("tokenizer") && name.ends_with(".json");
    if (weights || tokenizer || name == "config.json" || name.ends_with(".index.json")) {
      files.push_back(folder + "/" + name);
    }
  }
  return entry_of(folder, files);
}

std::string path_of_copy(const Json& entry, const std::string& folder) {
  return folder + "/" + entry.at("last").as_string();
}

void copy_entry(const Json& entry, const std::string& folder) {
  const std::string& path = entry.at("path").as_string();
  const std::string from = base_of(path);
  const std::string to = is_folder(path) ? path_of_copy(entry, folder) : folder;
  for (const Json& file : entry.at("files").as_array()) {
    const std::string& name = file.at("name").as_string();
    make_folders(folder_of(to + "/" + name));
    copy_file_atomically(from + "/" + name, to + "/" + name);
  }
}

std::string different_files(const Json& recorded, const Json& found) {
  const std::map<std::string, Json> before = by_name(recorded), now = by_name(found);
  FirstOfSeveral differences;
  for (const auto& [name, file] : before) {
    const auto other = now.find(name);
    if (other == now.end()) {
      differences.note(name + " is not there");
    } else if (file.at("bytes") != other->second.at("bytes")) {
      differences.note(concat(name, " has ", other->second.at("bytes").dump(), " bytes, had ",
                              file.at("bytes").dump()));
    } else if (file != other->second) {
      differences.note(name + " has the same size and other bytes");
    }
  }
  for (const auto& [name, file] : now) {
    if (!before.contains(name)) differences.note(name + " is new");
  }
  return differences.text();
}

}  // namespace hadal
