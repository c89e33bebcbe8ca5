#include "hadal/model/convert.h"

#include <array>
#include <cmath>
#include <filesystem>

#include "hadal/core/clock.h"
#include "hadal/core/error.h"
#include "hadal/core/interrupt.h"
#include "hadal/core/log.h"
#include "hadal/core/number_text.h"
#include "hadal/io/atomic_folder.h"
#include "hadal/io/model_files.h"
#include "hadal/io/path_status.h"
#include "hadal/model/checkpoint_reader.h"
#include "hadal/model/checkpoint_writer.h"
#include "hadal/model/hf_names.h"

namespace hadal {
namespace {

namespace fs = std::filesystem;

constexpr std::array kTokenizerFiles = {"tokenizer.json",
                                        "tokenizer_config.json",
                                        "special_tokens_map.json",
                                        "added_tokens.json",
                                        "vocab.json",
                                        "merges.txt",
                                        "chat_template.jinja",
                                        "chat_template.json"};

WeightForm form_of(ConvertDType dtype) {
  switch (dtype) {
    case ConvertDType::kF32:
      return WeightForm::kF32;
    case ConvertDType::kBF16:
      return WeightForm::kBF16;
    case ConvertDType::kFP8:
      return WeightForm::kFp8;
    case ConvertDType::kQ8:
      return WeightForm::kQ8;
    case ConvertDType::kQ4:
      return WeightForm::kQ4;
  }
  return WeightForm::kF32;
}

HfStorage storage_of(ConvertDType dtype, bool power_of_two_scales) {
  switch (dtype) {
    case ConvertDType::kF32:
      return HfStorage::kF32;
    case ConvertDType::kBF16:
      return HfStorage::kBF16;
    case ConvertDType::kFP8:
      return power_of_two_scales ? HfStorage::kFp8PowerOfTwo : HfStorage::kFp8;
    case ConvertDType::kQ8:
      return HfStorage::kQ8;
    case ConvertDType::kQ4:
      return HfStorage::kQ4;
  }
  return HfStorage::kF32;
}

void check_target(const std::string& source, const std::string& target, bool overwrite) {
  if (!path_exists(target)) return;
  std::error_code error;
  const bool same = fs::equivalent(source, target, error);
  if (error) refuse_io(target, "cannot be looked at", error.value());
  if (same) {
    throw ConfigError({.place = target,
                       .problem = "source and destination are the same folder",
                       .advice = "choose another destination"});
  }
  if (!is_folder(target)) {
    throw ConfigError({.place = target,
                       .problem = "the destination is not a folder",
                       .advice = "choose another one"});
  }
  if (!overwrite && !entry_names(target).empty()) {
    throw ConfigError(
        {.place = target,
         .problem = "the destination is not empty",
         .advice = "choose another one, or give {force} to replace the checkpoint in it"});
  }
}

std::vector<std::pair<std::string, std::string>> tokenizer_files(const std::string& source) {
  std::vector<std::pair<std::string, std::string>> files;
  for (const char* name : kTokenizerFiles) {
    const std::string path = fs::path(source) / name;
    if (path_exists(path)) files.emplace_back(name, read_text_file(path));
  }
  return files;
}

// Calls write(folder) for a folder that becomes `target`. A new one appears as a whole; in one that is
// there stays what is no part of a checkpoint, and nothing if it was empty and the work fails.
void write_into(const std::string& target, FunctionRef<void(const std::string& folder)> write) {
  if (!path_exists(target)) {
    AtomicFolder whole(target);
    write(whole.temporary());
    whole.commit();
    return;
  }
  const bool was_empty = entry_names(target).empty();
  try {
    write(target);
  } catch (const Error&) {
    std::error_code ignored;  // the first failure is the one to tell
    for (const std::string& name : was_empty ? entry_names(target) : std::vector<std::string>()) {
      fs::remove(target + "/" + name, ignored);
    }
    throw;
  }
}

void expect_finite(const Tensor& values, const std::string& where) {
  for (const float value : values.flat<float>()) {
    if (!std::isfinite(value)) {
      throw FormatError(concat(where, ": a value is not finite and cannot be quantised (found ",
                               value, "); the checkpoint is damaged"));
    }
  }
}

// The weights that the source has: parameters, then the copies of the shared tables that MTP layers
// may repeat.
std::vector<StoredWeight> all_weights(const OpenCheckpoint& checkpoint,
                                      std::vector<NamedParam>& params) {
  std::vector<StoredWeight> weights = find_all_stored(checkpoint, params);
  const Tensor::Shape table = {checkpoint.config.vocab_size, checkpoint.config.d_model};
  for (const HfCopy& copy : hf_mtp_copies(checkpoint.config)) {
    if (!checkpoint.source.find(copy.name)) continue;
    params.push_back({copy.name, nullptr, ParamKind::kMatrix, table});
    weights.push_back(find_stored(checkpoint.source, params.back()));
  }
  return weights;
}

class Progress {
 public:
  explicit Progress(int64_t total_bytes) : total_(total_bytes), start_(monotonic_seconds()) {}
  void add(int64_t bytes) {
    done_ += bytes;
    if (!line_.due()) return;
    const double fraction = static_cast<double>(done_) / static_cast<double>(total_);
    const double seconds = monotonic_seconds() - start_;
    line_.show(concat("convert ", progress_bar(fraction, 20), "  ",
                      human_bytes(static_cast<double>(done_)), " of ",
                      human_bytes(static_cast<double>(total_)), ", ",
                      human_bytes(static_cast<double>(done_) / seconds), "/s, ",
                      human_seconds(seconds * (1.0 / fraction - 1.0)), " left"));
  }

 private:
  int64_t total_, done_ = 0;
  double start_;
  ProgressLine line_;
};

}  // namespace

ConvertReport convert_checkpoint(Context& ctx, const std::string& source,
                                 const std::string& target_folder, const ConvertOptions& options) {
  const std::string source_folder = model_folder(source);
  const OpenCheckpoint checkpoint = open_checkpoint(source_folder, /*with_mtp=*/true);
  check_target(source_folder, target_folder, options.overwrite);
  DeepseekV3 shapes = make_model(checkpoint.config, ctx.arena);
  std::vector<NamedParam> params = named_params(shapes);
  const std::vector<StoredWeight> weights = all_weights(checkpoint, params);

  ConvertReport report{.tensors = static_cast<int64_t>(params.size())};
  std::vector<PlannedWeight> plan;
  for (size_t i = 0; i < params.size(); ++i) {
    plan.push_back({params[i].name, params[i].shape, form_for(params[i], form_of(options.dtype))});
    report.bytes_in += weights[i].bytes();
  }
  const bool power_of_two = checkpoint.config.fp8_power_of_two_scales;
  const std::string config_path = (fs::path(source_folder) / "config.json").string();
  CheckpointFiles files{.config = parse_json_file(config_path),
                        .generation_config = "",
                        .max_shard_bytes = options.max_shard_bytes,
                        .beside = tokenizer_files(source_folder)};
  set_hf_found(files.config, checkpoint.config);
  set_hf_storage(files.config, storage_of(options.dtype, power_of_two));
  const std::string generation = fs::path(source_folder) / "generation_config.json";
  if (path_exists(generation)) files.generation_config = read_text_file(generation);

  Progress progress(report.bytes_in);
  const auto convert_weight = [&](size_t i) {
    if (interrupted()) throw Interrupted("convert: interrupted; the destination was not changed");
    const StoredWeight& weight = weights[i];
    std::vector<Tensor> tensors;
    if (weight.form == plan[i].form) {
      tensors = stored_tensors(weight);
    } else {
      const Tensor values = read_f32(ctx, weight);
      if (!is_plain(plan[i].form)) expect_finite(values, weight.where);
      tensors = encode(ctx, values, plan[i].form, power_of_two);
    }
    progress.add(weight.bytes());
    return tensors;
  };
  write_into(target_folder, [&](const std::string& folder) {
    report.bytes_out = write_checkpoint(folder, plan, files, convert_weight);
  });
  return report;
}

}  // namespace hadal
