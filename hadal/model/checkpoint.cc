#include "hadal/model/checkpoint.h"

#include <filesystem>

#include "hadal/core/error.h"
#include "hadal/io/model_files.h"
#include "hadal/io/path_status.h"
#include "hadal/model/checkpoint_reader.h"
#include "hadal/model/checkpoint_writer.h"
#include "hadal/model/hf_names.h"
#include "hadal/model/memory_needs.h"
#include "hadal/model/read_weights.h"

namespace hadal {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxConfigBytes = int64_t{4} << 20;

ModelConfig read_config(const std::string& path) {
  refuse_foreign_file(path, "config.json");
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

std::vector<std::span<const std::byte>> whole_files(const TensorSource& source) {
  std::vector<std::span<const std::byte>> files;
  for (const auto& file : source.files()) files.push_back(file->mapped());
  return files;
}

void require_memory_for(const OpenCheckpoint& checkpoint, LoadAs dtype,
                        const std::vector<NamedParam>& held) {
  const bool widened = dtype == LoadAs::kF32;
  int64_t elements = 0;
  for (const NamedParam& each : held) elements += each.param->master.size();
  require_memory(checkpoint.config, checkpoint.source.path(),
                 widened ? elements * int64_t{sizeof(float)} : checkpoint.source.unaligned_bytes(),
                 widened ? HeldBecause::kWidened : HeldBecause::kUnaligned, available_memory());
}

}  // namespace

ModelConfig load_config(const std::string& given) {
  const std::string path = model_folder(given);
  if (is_folder(path)) {
    const std::string file = (fs::path(path) / "config.json").string();
    if (!path_exists(file)) {
      const UnreadWeights unread = unread_weights(path);
      throw FormatError({.place = path,
                         .problem = "no config.json in this folder",
                         .found = unread.found,
                         .advice = unread.found.ends_with(".gguf")
                                       ? unread.advice
                                       : "give the folder of a Hugging Face checkpoint"});
    }
    return read_config(file);
  }
  if (path_exists(path)) return read_config(path);
  try {
    return find_preset(path).config;
  } catch (const ConfigError& no_preset) {
    if (path.find('/') != std::string::npos) {
      throw FormatError(
          {.place = path,
           .problem = "no such folder or file",
           .advice = "give the folder of a model, its config.json or a preset's name"});
    }
    throw FormatError(
        concat(path, ": neither a file, nor a folder, nor a preset; ", no_preset.what()));
  }
}

DeepseekV3 load_model(Context& ctx, const std::string& folder, const LoadOptions& options) {
  const OpenCheckpoint checkpoint = open_checkpoint(folder, options.with_mtp);
  DeepseekV3 model = make_model(checkpoint.config, ctx.arena,
                                options.part.value_or(HeldPart::whole(checkpoint.config)));
  const std::vector<NamedParam> params = named_params(model);
  require_memory_for(checkpoint, options.dtype, params);
  Arena unused;
  std::optional<DeepseekV3> shapes;  // of the whole
  if (options.part) shapes = make_model(checkpoint.config, unused);
  // A page that is there already, be it for a scale, would keep its neighbours from becoming a huge one.
  const auto read_ahead = [&](std::span<const StoredWeight> held) {
    if (options.dtype == LoadAs::kAsStored) {
      read_weights_ahead(
          ctx, checkpoint.source, checkpoint.config,
          options.part ? mapped_ranges(checkpoint.source, held) : whole_files(checkpoint.source));
    }
  };
  const std::vector<StoredWeight> weights = find_all_stored(
      checkpoint, options.part ? named_params(*shapes) : params, model.held, read_ahead);
  for (size_t i = 0; i < params.size(); ++i) {
    Param& param = *params[i].param;
    const StoredWeight here = placed(weights[i], ctx.arena);
    if (options.dtype == LoadAs::kAsStored && params[i].kind == ParamKind::kMatrix) {
      use_as_stored(param, here);
    } else {
      param.master = read_f32(ctx, here);
    }
  }
  return model;
}

std::vector<SavedParameter> saved_parameters(const ModelConfig& config) {
  Arena none;
  DeepseekV3 shapes = make_model(config, none);
  std::vector<SavedParameter> saved;
  std::map<std::string, size_t> by_name;
  for (const NamedParam& param : named_params(shapes)) {
    by_name[param.name] = saved.size();
    saved.push_back({std::ssize(saved), param.name, param.shape, param.kind, false});
  }
  // As in the official files, every MTP layer repeats the shared tables.
  for (const HfCopy& copy : hf_mtp_copies(config)) {
    SavedParameter table = saved[by_name.at(copy.of)];
    table.name = copy.name;
    table.is_copy = true;
    saved.push_back(std::move(table));
  }
  return saved;
}

void save_model(Context& ctx, const std::string& folder, const ModelConfig& model_config,
                const std::vector<SavedParameter>& saved, const SaveOptions& options,
                FunctionRef<Tensor(size_t i)> values) {
  const WeightForm form = form_of(options.dtype);
  const WeightForm table_form = form == WeightForm::kF32 ? form : WeightForm::kBF16;
  std::vector<PlannedWeight> weights;
  for (const SavedParameter& each : saved) {
    weights.push_back(
        {each.name, each.shape,
         each.is_copy ? table_form : form_for({each.name, nullptr, each.kind, each.shape}, form)});
  }
  ModelConfig config = model_config;
  config.fp8 = form == WeightForm::kFp8;
  config.torch_dtype = form == WeightForm::kF32 ? "float32" : "bfloat16";

  const CheckpointFiles files{.config = config_to_hf(config),
                              .generation_config = "",
                              .max_shard_bytes = options.max_shard_bytes,
                              .beside = {}};
  write_checkpoint(folder, weights, files, [&](size_t i) {
    return encode(ctx, values(i), weights[i].form, config.fp8_power_of_two_scales);
  });
}

void save_model(Context& ctx, const std::string& folder, DeepseekV3& model,
                const SaveOptions& options) {
  const std::vector<NamedParam> params = named_params(model);
  const std::vector<SavedParameter> saved = saved_parameters(model.config);
  save_model(ctx, folder, model.config, saved, options, [&](size_t i) {
    return param_values(ctx, *params[static_cast<size_t>(saved[i].position)].param);
  });
}

}  // namespace hadal
