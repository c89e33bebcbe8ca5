#include "tests/support/sparse_checkpoint.h"

#include <cstdio>
#include <filesystem>

#include "hadal/core/json.h"
#include "hadal/io/atomic_write.h"
#include "hadal/io/safetensors_header.h"
#include "hadal/model/hf_names.h"
#include "hadal/model/hf_storage.h"
#include "hadal/model/stored_weight.h"

namespace hadal::test {
namespace {

std::vector<TensorInfo> all_tensors(const ModelConfig& config, WeightForm form) {
  Arena arena;
  DeepseekV3 shapes = make_model(config, arena);
  std::vector<TensorInfo> tensors;
  const auto add = [&](const std::string& name, const Tensor::Shape& shape, WeightForm as) {
    for (TensorInfo& info : declare(name, shape, as)) tensors.push_back(std::move(info));
  };
  for (const NamedParam& param : named_params(shapes)) {
    add(param.name, param.shape, form_for(param, form));
  }
  for (const HfCopy& copy : hf_mtp_copies(config)) {
    add(copy.name, {config.vocab_size, config.d_model}, WeightForm::kBF16);
  }
  return tensors;
}

std::string shard_name(size_t index, int64_t n_shards) {
  char name[64];
  std::snprintf(name, sizeof name, "model-%05zu-of-%06zu.safetensors", index + 1,
                static_cast<size_t>(n_shards));
  return name;
}

}  // namespace

int64_t write_sparse_checkpoint(const std::string& folder, const ModelConfig& config,
                                WeightForm form, int64_t n_shards) {
  make_folders(folder);
  const std::vector<TensorInfo> tensors = all_tensors(config, form);
  int64_t all_bytes = 0;
  for (const TensorInfo& info : tensors) all_bytes += stored_bytes(info);
  std::vector<std::vector<TensorInfo>> shards(static_cast<size_t>(n_shards));
  Json index = Json::object();
  index["metadata"]["total_size"] = all_bytes;
  index["weight_map"] = Json::object();
  int64_t before = 0;
  for (const TensorInfo& info : tensors) {
    const auto at =
        static_cast<size_t>(static_cast<double>(before) / static_cast<double>(all_bytes) *
                            static_cast<double>(n_shards));
    shards[at].push_back(info);
    index["weight_map"].as_object().emplace_back(info.name, shard_name(at, n_shards));
    before += stored_bytes(info);
  }
  int64_t apparent = 0;
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string header = safetensors_header_text(shards[i], {{"format", "pt"}});
    int64_t bytes = static_cast<int64_t>(header.size());
    for (const TensorInfo& info : shards[i]) bytes += stored_bytes(info);
    const std::string path = folder + "/" + shard_name(i, n_shards);
    write_file_atomically(path, header);
    std::filesystem::resize_file(path, static_cast<uintmax_t>(bytes));
    apparent += bytes;
  }
  write_file_atomically(folder + "/model.safetensors.index.json", index.dump());
  Json json = config_to_hf(config);
  set_hf_storage(json, {.projections = form}, /*power_of_two_scales=*/false);
  write_file_atomically(folder + "/config.json", json.dump(2));
  return apparent;
}

}  // namespace hadal::test
