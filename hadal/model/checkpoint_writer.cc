#include "hadal/model/checkpoint_writer.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <set>

#include "hadal/io/atomic_folder.h"
#include "hadal/io/path_status.h"
#include "hadal/io/safetensors.h"

namespace hadal {
namespace {

constexpr const char* kIndexName = "model.safetensors.index.json";
constexpr const char* kSingleName = "model.safetensors";

struct Shard {
  std::string name;
  size_t begin = 0, end = 0;  // of the weights
};

int64_t weight_bytes(const PlannedWeight& weight) {
  int64_t bytes = 0;
  for (const TensorInfo& info : declare(weight.name, weight.shape, weight.form)) {
    bytes += stored_bytes(info);
  }
  return bytes;
}

// A weight and its scales stay together; a weight larger than the limit has a shard of its own.
std::vector<Shard> plan_shards(const std::vector<PlannedWeight>& weights, int64_t max_shard_bytes) {
  std::vector<Shard> shards(1);
  int64_t bytes = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    const int64_t more = weight_bytes(weights[i]);
    if (bytes > 0 && bytes + more > max_shard_bytes) {
      shards.push_back({"", i, i});
      bytes = 0;
    }
    bytes += more;
    shards.back().end = i + 1;
  }
  for (size_t s = 0; s < shards.size(); ++s) {
    char name[64];
    std::snprintf(name, sizeof name, "model-%05zu-of-%06zu.safetensors", s + 1, shards.size());
    shards[s].name = shards.size() == 1 ? kSingleName : name;
  }
  return shards;
}

std::vector<TensorInfo> shard_tensors(const Shard& shard,
                                      const std::vector<PlannedWeight>& weights) {
  std::vector<TensorInfo> tensors;
  for (size_t i = shard.begin; i < shard.end; ++i) {
    for (TensorInfo& info : declare(weights[i].name, weights[i].shape, weights[i].form)) {
      tensors.push_back(std::move(info));
    }
  }
  return tensors;
}

std::string index_text(const std::vector<Shard>& shards, const std::vector<PlannedWeight>& weights,
                       int64_t total_bytes) {
  std::map<std::string, std::string> file_of;
  for (const Shard& shard : shards) {
    for (const TensorInfo& info : shard_tensors(shard, weights)) file_of[info.name] = shard.name;
  }
  Json weight_map = Json::object();
  for (const auto& [tensor, file] : file_of) weight_map.as_object().emplace_back(tensor, file);
  Json index = Json::object();
  index["metadata"]["total_size"] = total_bytes;
  index["weight_map"] = std::move(weight_map);
  return index.dump(2) + "\n";
}

std::string generation_config_text(const Json& config) {
  Json json = Json::object();
  json["_from_model_config"] = true;
  for (const char* key : {"bos_token_id", "eos_token_id"}) {
    if (const Json* id = config.find(key)) json[key] = *id;
  }
  return json.dump(2) + "\n";
}

bool is_shard_name(const std::string& name) {
  return name == kSingleName || (name.starts_with("model-") && name.ends_with(".safetensors"));
}

// Weights of an earlier checkpoint in the same folder.
void remove_old_shards(const std::string& folder, const std::vector<Shard>& shards) {
  std::set<std::string> keep;
  for (const Shard& shard : shards) keep.insert(shard.name);
  for (const std::string& name : entry_names(folder)) {
    if (is_shard_name(name) && !keep.contains(name)) remove_file(folder + "/" + name);
  }
}

bool is_checkpoint_file(const std::string& name, const CheckpointFiles& files) {
  return is_shard_name(name) || name == kIndexName || name == "config.json" ||
         name == "generation_config.json" ||
         std::ranges::any_of(files.beside, [&](const auto& file) { return file.first == name; });
}

std::unique_ptr<SafetensorsWriter> write_shard(const std::string& folder, const Shard& shard,
                                               const std::vector<PlannedWeight>& weights,
                                               FunctionRef<std::vector<Tensor>(size_t i)> produce) {
  // "format": loaders of Hugging Face's library insist on it.
  auto writer =
      std::make_unique<SafetensorsWriter>(folder + "/" + shard.name, shard_tensors(shard, weights),
                                          std::map<std::string, std::string>{{"format", "pt"}});
  for (size_t i = shard.begin; i < shard.end; ++i) {
    const auto infos = declare(weights[i].name, weights[i].shape, weights[i].form);
    const std::vector<Tensor> tensors = produce(i);
    for (size_t part = 0; part < infos.size(); ++part) {
      writer->write(infos[part].name, tensors[part]);
    }
  }
  writer->finish();
  return writer;
}

int64_t bytes_of(const std::vector<PlannedWeight>& weights) {
  int64_t bytes = 0;
  for (const PlannedWeight& weight : weights) bytes += weight_bytes(weight);
  return bytes;
}

// Only renames and small files: `place_shards` gives the new shards their names in the folder.
void finish_folder(const std::string& folder, const std::vector<Shard>& shards,
                   const std::vector<PlannedWeight>& weights, const CheckpointFiles& files,
                   FunctionRef<void()> place_shards) {
  // Without config.json and the index no mixture of old and new can be loaded, whatever of what follows a
  // power cut keeps.
  remove_file(folder + "/config.json");
  remove_file(folder + "/" + kIndexName);
  sync_folder(folder);
  place_shards();
  remove_old_shards(folder, shards);
  if (shards.size() > 1) {
    write_file_atomically(folder + "/" + kIndexName,
                          index_text(shards, weights, bytes_of(weights)));
  }
  for (const auto& [name, text] : files.beside) write_file_atomically(folder + "/" + name, text);
  write_file_atomically(folder + "/generation_config.json",
                        files.generation_config.empty() ? generation_config_text(files.config)
                                                        : files.generation_config);
  write_file_atomically(folder + "/config.json", files.config.dump(2) + "\n");
}

}  // namespace

int64_t write_checkpoint(const std::string& folder, const std::vector<PlannedWeight>& weights,
                         const CheckpointFiles& files,
                         FunctionRef<std::vector<Tensor>(size_t i)> produce) {
  make_folders(folder);
  remove_abandoned(folder,
                   [&](const std::string& name) { return is_checkpoint_file(name, files); });
  const std::vector<Shard> shards = plan_shards(weights, files.max_shard_bytes);
  std::vector<std::unique_ptr<SafetensorsWriter>> writers;
  for (const Shard& shard : shards) {
    writers.push_back(write_shard(folder, shard, weights, produce));
  }
  finish_folder(folder, shards, weights, files, [&] {
    for (const auto& writer : writers) writer->commit();
  });
  return bytes_of(weights);
}

int64_t write_checkpoint_in_steps(FileJournal& journal, const std::string& target,
                                  const std::vector<PlannedWeight>& weights,
                                  const CheckpointFiles& files,
                                  FunctionRef<std::vector<Tensor>(size_t i)> produce) {
  const std::vector<Shard> shards = plan_shards(weights, files.max_shard_bytes);
  for (const Shard& shard : shards) {
    if (journal.has(shard.name)) continue;
    write_shard(journal.folder(), shard, weights, produce)->commit();
    journal.add(shard.name);
  }
  const std::string journal_file = journal.folder() + "/" + FileJournal::name();
  if (path_exists(target) && !entry_names(target).empty()) {
    remove_abandoned(target,
                     [&](const std::string& name) { return is_checkpoint_file(name, files); });
    finish_folder(target, shards, weights, files, [&] {
      for (const Shard& shard : shards) {
        rename_path(journal.folder() + "/" + shard.name, target + "/" + shard.name);
      }
      sync_folder(target);
    });
    remove_file(journal_file);
    std::error_code ignored;  // an empty folder that stays is in nobody's way
    std::filesystem::remove(journal.folder(), ignored);
  } else {
    finish_folder(journal.folder(), shards, weights, files, [] {});
    remove_file(journal_file);  // before the name: no part of it is ever seen there
    sync_folder(journal.folder());
    rename_path(journal.folder(), target);
  }
  sync_folder(folder_of(target));
  return bytes_of(weights);
}

}  // namespace hadal
