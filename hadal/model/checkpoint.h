// model/checkpoint.h: Hugging Face checkpoint folders: config.json and (sharded) safetensors.
// Mapped, strictly validated (docs/formats.md, "safetensors"), written atomically.
#pragma once

#include <optional>
#include <string>

#include "hadal/core/function_ref.h"
#include "hadal/model/deepseek_v3.h"

namespace hadal {

// A folder with config.json, a run's folder, config.json itself or a preset's name.
ModelConfig load_config(const std::string& path);

// kF32: values that can be trained, in the context's arena. kAsStored: matrices are multiplied where
// they lie in the mapped file, whatever their form.
enum class LoadAs { kF32, kAsStored };

struct LoadOptions {
  LoadAs dtype = LoadAs::kF32;
  bool with_mtp = true;  // false: layers >= n_layers are skipped and config.n_mtp becomes 0
  std::optional<HeldPart> part = {};  // of a model of the same config; else the whole
};
// Every tensor must be there with its exact shape, those of a part's absentees too; FormatError names
// file, tensor, found, expected. Values are read of what is held alone.
DeepseekV3 load_model(Context& ctx, const std::string& folder, const LoadOptions& options = {});

enum class SaveDType { kF32, kBF16, kFP8 };
struct SaveOptions {
  SaveDType dtype = SaveDType::kBF16;
  int64_t max_shard_bytes = int64_t{5} * 1000 * 1000 * 1000;
};
// Writes config.json, generation_config.json and model*.safetensors into `folder` (created).
void save_model(Context& ctx, const std::string& folder, DeepseekV3& model,
                const SaveOptions& options);

// The same of a model whose values are not all here: values(i) gives the F32 ones of saved[i] and is called
// once for each, in order.
struct SavedParameter {
  int64_t position = 0;  // in named_params() of the whole model
  std::string name;
  Tensor::Shape shape;
  ParamKind kind = ParamKind::kMatrix;
  bool is_copy = false;  // of a table that MTP layers repeat
};
std::vector<SavedParameter> saved_parameters(const ModelConfig& config);
void save_model(Context& ctx, const std::string& folder, const ModelConfig& config,
                const std::vector<SavedParameter>& saved, const SaveOptions& options,
                FunctionRef<Tensor(size_t i)> values);

}  // namespace hadal
