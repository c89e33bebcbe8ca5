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
#include "hadal/io/file_journal.h"
#include "hadal/io/model_files.h"
#include "hadal/io/path_status.h"
#include "hadal/model/checkpoint_reader.h"
#include "hadal/model/checkpoint_writer.h"
#include "hadal/model/hf_names.h"
#include "hadal/model/hf_storage.h"

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

// What is made of what, in one line: a try that was cut off goes on only if all of it is the same.
std::string describe_work(const std::string& source, const TensorSource& tensors,
                          const CheckpointFiles& files, const std::vector<PlannedWeight>& plan) {
  Json work = Json::object();
  work["source"] = source;
  for (const auto& file : tensors.files()) {
    Json& entry = work["files"][fs::path(file->path()).filename().string()];
    entry["bytes"] = file->bytes();
    std::error_code error;
    entry["changed"] = fs::last_write_time(file->path(), error).time_since_epoch().count();
    if (error) refuse_io(file->path(), "cannot be looked at", error.value());
  }
  work["config"] = files.config;
  work["max_shard_bytes"] = files.max_shard_bytes;
  work["weights"] = static_cast<int64_t>(plan.size());
  return work.dump();
}

void expect_finite(const Tensor& values, const std::string& where) {
  for (const float value : values.flat<float>()) {
    if (!std::isfinite(value)) {
      throw FormatError(concat(where, ": a value is not finite and cannot be quantised (found ",
                               value, "); the checkpoint is damaged"));
    }
  }
}

// The weights that the source has and the target shall have: parameters, then the copies of the shared
// tables that MTP layers may repeat.
std::vector<StoredWeight> all_weights(const OpenCheckpoint& checkpoint, const StoredForms& forms,
                                      std::vector<NamedParam>& params) {
  std::vector<StoredWeight> weights = find_all_stored(checkpoint, params);
  const Tensor::Shape table = {checkpoint.config.vocab_size, checkpoint.config.d_model};
  for (const HfCopy& copy : hf_mtp_copies(checkpoint.config)) {
    const NamedParam param{copy.name, nullptr, ParamKind::kMatrix, table};
    if (!checkpoint.source.find(copy.name) || !is_plain(forms.of(param))) continue;
    params.push_back(param);
    weights.push_back(find_stored(checkpoint.source, param));
    read_scales(weights.back());
  }
  return weights;
}

class Progress {
 public:
  explicit Progress(const std::vector<StoredWeight>& weights) : start_(monotonic_seconds()) {
    before_.push_back(0);
    for (const StoredWeight& weight : weights) before_.push_back(before_.back() + weight.bytes());
  }
  int64_t total() const { return before_.back(); }
  void begin(size_t i) {
    if (first_ < 0) first_ = before_[i];  // what an earlier try has done says nothing of the speed
    if (!line_.due()) return;
    const auto done = static_cast<double>(before_[i]), all = static_cast<double>(total());
    const double rate =
        std::max(1.0, done - static_cast<double>(first_)) / (monotonic_seconds() - start_);
    line_.show(concat("convert ", progress_bar(done / all, 20), "  ", human_bytes(done), " of ",
                      human_bytes(all), ", ", human_bytes(rate), "/s, ",
                      human_seconds((all - done) / rate), " left"));
  }

 private:
  std::vector<int64_t> before_;  // bytes of the weights before each
  int64_t first_ = -1;
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
  const std::vector<StoredWeight> weights = all_weights(checkpoint, options.forms, params);
  std::vector<PlannedWeight> plan;
  for (const NamedParam& param : params) {
    plan.push_back({param.name, param.shape, options.forms.of(param)});
  }
  const bool power_of_two = checkpoint.config.fp8_power_of_two_scales;
  const std::string config_path = (fs::path(source_folder) / "config.json").string();
  CheckpointFiles files{.config = parse_json_file(config_path),
                        .generation_config = "",
                        .max_shard_bytes = options.max_shard_bytes,
                        .beside = tokenizer_files(source_folder)};
  set_hf_found(files.config, checkpoint.config);
  set_hf_storage(files.config, options.forms, power_of_two);
  const std::string generation = fs::path(source_folder) / "generation_config.json";
  if (path_exists(generation)) files.generation_config = read_text_file(generation);

  std::string work_folder = target_folder;
  while (work_folder.size() > 1 && work_folder.ends_with('/')) work_folder.pop_back();
  work_folder += ".unfinished";
  Progress progress(weights);
  const auto convert_weight = [&](size_t i) {
    if (interrupted()) {
      throw Interrupted(concat("convert: interrupted; what is done waits in ", work_folder,
                               ", and the same command goes on from there"));
    }
    progress.begin(i);
    const StoredWeight& weight = weights[i];
    if (weight.form == plan[i].form) return stored_tensors(weight);
    const Tensor values = read_f32(ctx, weight);
    if (!is_plain(plan[i].form)) expect_finite(values, weight.where);
    return encode(ctx, values, plan[i].form, power_of_two);
  };
  ConvertReport report{.bytes_in = progress.total(), .tensors = static_cast<int64_t>(plan.size())};
  try {
    FileJournal journal(work_folder, describe_work(source_folder, checkpoint.source, files, plan));
    report.bytes_out =
        write_checkpoint_in_steps(journal, target_folder, plan, files, convert_weight);
  } catch (const FormatError&) {  // another try would find the same
    discard_folder(work_folder);
    throw;
  }
  return report;
}

}  // namespace hadal
