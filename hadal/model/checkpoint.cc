#include "hadal/model/checkpoint.h"

#include <filesystem>
#include <set>

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/core/log.h"
#include "hadal/io/safetensors.h"
#include "hadal/model/checkpoint_writer.h"
#include "hadal/model/hf_names.h"
#include "hadal/model/stored_weight.h"

namespace hadal {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxConfigBytes = int64_t{4} << 20;

// Building the model costs memory for every expert: a config.json of a few bytes must not ask for
// millions that the weight files do not have.
void check_count(const ModelConfig& config, const TensorSource& source) {
  int64_t n_tensors = 0;
  for (int64_t layer = 0; layer < config.n_layers + config.n_mtp; ++layer) {
    n_tensors += 7 + (config.is_moe(layer) ? 3 * config.router.n_routed_experts : 3);
  }
  const auto n_found = static_cast<int64_t>(source.entries().size());
  if (n_found < n_tensors) {
    throw FormatError(concat(source.path(), ": too few tensors for its config.json (found ",
                             n_found, ", expected at least ", n_tensors,
                             "); the checkpoint is incomplete or config.json is another model's"));
  }
}

// What is in the files but not in the model: copies and leftovers that are known, or an error.
void check_unused(const TensorSource& source, const ModelConfig& stored_config,
                  const ModelConfig& config, const std::set<std::string>& used) {
  const Tensor::Shape table = {config.vocab_size, config.d_model};
  std::set<std::string> copies;
  for (const HfCopy& copy : hf_mtp_copies(stored_config)) copies.insert(copy.name);
  if (config.tie_word_embeddings) copies.insert(hf_head_name());
  const bool skips_mtp = config.n_mtp == 0;
  int64_t n_foreign = 0;
  for (const auto& [name, entry] : source.entries()) {
    if (used.contains(name) || hf_is_ignored(name)) continue;
    const auto where = [&, &file = entry.file->path(), &tensor = name] {
      return concat(file, ": tensor ", in_quotes(tensor));
    };
    if (copies.contains(name)) {
      if (entry.info->shape != table) {
        throw FormatError(concat(where(), ": a copy of the shared table has another shape (found ",
                                 shape_text(entry.info->shape), ", expected ", shape_text(table),
                                 ")"));
      }
    } else if (skips_mtp && hf_layer_of(name) >= config.n_layers) {
      continue;
    } else if (name.starts_with("model.") || name == hf_head_name()) {
      throw FormatError(concat(where(), ": the model of config.json has no such tensor (found ",
                               dtype_name(entry.info->dtype), " ", shape_text(entry.info->shape),
                               "); config.json is another model's"));
    } else {
      ++n_foreign;
    }
  }
  if (n_foreign > 0) {
    log_warning(source.path(), ": ", n_foreign,
                " tensors do not belong to the model and are ignored");
  }
}

ModelConfig read_config(const std::string& path) {
  return config_from_hf(parse_json(read_text_file(path, kMaxConfigBytes), path), path);
}

WeightForm form_of(SaveDType dtype) {
  switch (dtype) {
    case SaveDType::kF32:
      return WeightForm::kF32;
    case SaveDType::kBF16:
      return WeightForm::kBF16;
    case SaveDType::kFP8:
      return WeightForm::kFp8;
  }
  return WeightForm::kF32;
}

}  // namespace

ModelConfig load_config(const std::string& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) {
    const std::string file = (fs::path(path) / "config.json").string();
    if (!fs::exists(file, error)) {
      throw FormatError(concat(path,
                               ": no config.json in this folder; give the folder of a Hugging "
                               "Face checkpoint"));
    }
    return read_config(file);
  }
  if (fs::exists(path, error)) return read_config(path);
  try {
    return find_preset(path).config;
  } catch (const ConfigError& no_preset) {
    throw FormatError(
        concat(path, ": neither a file, nor a folder, nor a preset; ", no_preset.what()));
  }
}

DeepseekV3 load_model(const std::string& folder, Arena& arena, const LoadOptions& options) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) {
    throw FormatError(
        concat(folder, ": not a folder; give the folder of a Hugging Face checkpoint"));
  }
  const ModelConfig stored_config = load_config(folder);
  ModelConfig config = stored_config;
  if (!options.with_mtp) config.n_mtp = 0;
  const TensorSource source = TensorSource::open(folder);
  check_count(config, source);

  ThreadPool pool(1);
  Context ctx{pool, arena};
  DeepseekV3 model = make_model(config, arena);
  std::set<std::string> used;
  for (NamedParam& param : named_params(model)) {
    const StoredWeight stored = find_stored(source, param);
    for (std::string& name : stored_names(stored)) used.insert(std::move(name));
    const bool keep = options.dtype == LoadAs::kAsStored && param.kind == ParamKind::kMatrix;
    param.param->value = keep ? read_as_stored(ctx, stored) : read_f32(ctx, stored);
    param.param->fp8 = stored.form == WeightForm::kFp8;
  }
  check_unused(source, stored_config, config, used);
  return model;
}

void save_model(const std::string& folder, DeepseekV3& model, const SaveOptions& options) {
  const WeightForm form = form_of(options.dtype);
  std::vector<PlannedWeight> weights;
  std::vector<const Param*> params;
  std::map<std::string, const Param*> by_name;
  for (const NamedParam& param : named_params(model)) {
    weights.push_back({param.name, param.shape, form_for(param, form)});
    params.push_back(param.param);
    by_name[param.name] = param.param;
  }
  // As in the official files, every MTP layer repeats the shared tables.
  const WeightForm table_form = form == WeightForm::kF32 ? form : WeightForm::kBF16;
  for (const HfCopy& copy : hf_mtp_copies(model.config)) {
    params.push_back(by_name.at(copy.of));
    weights.push_back({copy.name, params.back()->value.shape(), table_form});
  }
  ModelConfig config = model.config;
  config.fp8 = form == WeightForm::kFp8;
  config.torch_dtype = form == WeightForm::kF32 ? "float32" : "bfloat16";

  ThreadPool pool(1);
  Arena arena;
  Context ctx{pool, arena};
  write_checkpoint(folder, weights, {config_to_hf(config), options.max_shard_bytes}, [&](size_t i) {
    return encode(ctx, widened(ctx, params[i]->value), weights[i].form,
                  config.fp8_power_of_two_scales);
  });
}

}  // namespace hadal
