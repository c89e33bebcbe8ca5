#include "hadal/train/run_start.h"

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/core/log.h"
#include "hadal/model/checkpoint.h"
#include "hadal/train/training_checkpoint.h"

namespace hadal {
namespace {

// What [model] decides. The tokenizer gives the special tokens, checkpoint.dtype the storage.
ModelConfig decided_by_settings(ModelConfig shape) {
  shape.bos_token_id = -1;
  shape.eos_token_ids.clear();
  shape.torch_dtype = ModelConfig{}.torch_dtype;
  shape.fp8 = shape.fp8_power_of_two_scales = false;
  return shape;
}

bool changes(const ModelConfig& shape, const std::string& key, const Json& value) {
  Json one = Json::object();
  one[key] = value;
  try {
    return decided_by_settings(override_shape(shape, one)) != shape;
  } catch (const FormatError&) {
    return true;  // not even a possible model together with the other values
  }
}

void refuse_changed_keys(const TrainConfig& config, const ModelConfig& shape,
                         const std::string& checkpoint) {
  const Json stored = config_to_hf(shape);
  for (const auto& [key, value] : config.model.overrides.as_object()) {
    if (!changes(shape, key, value)) continue;
    const std::string name = "model." + key;
    throw ConfigError({.place = config.origins.at(name),
                       .field = name,
                       .problem = "not the model of the checkpoint",
                       .found = one_line(value.dump(), 100),
                       .expected = {stored.at(key).dump(), " as in ", checkpoint},
                       .advice = "leave it out, or start another run in another {out}"});
  }
}

// "hidden_size 64, the checkpoint's 32": the first difference, and how many more there are.
std::string difference(const ModelConfig& named, const ModelConfig& stored) {
  const Json a = config_to_hf(named), b = config_to_hf(stored);
  std::string text;
  int64_t more = 0;
  const auto note = [&](const std::string& key, const Json* left, const Json* right) {
    if (!text.empty()) {
      ++more;
    } else {
      text = concat(key, " ", left ? left->dump() : "absent", ", the checkpoint's ",
                    right ? right->dump() : "absent");
    }
  };
  for (const auto& [key, value] : a.as_object()) {
    const Json* other = b.find(key);
    if (!other || *other != value) note(key, &value, other);
  }
  for (const auto& [key, value] : b.as_object()) {
    if (!a.find(key)) note(key, nullptr, &value);
  }
  return more == 0 ? text : concat(text, "; ", more, " more");
}

const Json* find_setting(const SettingsLayer& layer, const char* section, const char* key) {
  const Json* content = layer.root.find(section);
  return content ? content->find(key) : nullptr;
}

std::string recorded_text(const SettingsLayer& recorded, const char* key) {
  const Json* value = find_setting(recorded, "model", key);
  return value && value->is_string() ? value->as_string() : "";
}

ModelConfig resumed_shape(const TrainConfig& config, const SettingsLayer& recorded,
                          const std::string& checkpoint) {
  const ModelConfig shape = load_config(checkpoint);
  const ModelConfig stored = decided_by_settings(shape);
  refuse_changed_keys(config, stored, checkpoint);

  const auto& [preset, path, init, init_std, set] = config.model;
  const std::string key = !preset.empty() ? "preset" : !path.empty() ? "config" : "init";
  const std::string& name = !preset.empty() ? preset : !path.empty() ? path : init;
  const bool as_recorded = preset == recorded_text(recorded, "preset") &&
                           absolute_model(path) == recorded_text(recorded, "config") &&
                           absolute_model(init) == recorded_text(recorded, "init");
  // The vocabulary was fitted to the tokenizer; the name's own does not count.
  Json overrides = config.model.overrides;
  overrides["vocab_size"] = stored.vocab_size;
  std::string problem;
  try {
    const ModelConfig named =
        decided_by_settings(override_shape(named_shape(config.model), overrides));
    if (named == stored) return shape;
    problem = difference(named, stored);
  } catch (const Error& error) {
    if (!as_recorded) throw;
    problem = error.what();
  }
  require(as_recorded, {.field = {"model.", key},
                        .problem = "not the model of the checkpoint",
                        .found = {name, " with ", problem},
                        .advice = "leave it out, or start another run in another {out}"});
  log_note(recorded.origin, ": model.", key, " ", name,
           " is another model than when the run began (", problem,
           "); going on with config.json of the checkpoint");
  return shape;
}

}  // namespace

RunStart find_run_start(const RunFolder& run, const TrainConfig& config, bool resume) {
  RunStart start;
  if (!resume) return start;
  start.recorded = file_layer(run.path() + "/run.toml");
  if (const auto checkpoint = find_valid_checkpoint(run)) {
    start.checkpoint = *checkpoint;
    start.shape = resumed_shape(config, start.recorded, *checkpoint);
  }
  return start;
}

TrainConfig settled(TrainConfig config, const RunStart& start, int n_threads) {
  if (int64_t& micro_batch = config.train.micro_batch_sequences; micro_batch == 0) {
    const Json* begun_with = find_setting(start.recorded, "train", "micro_batch_sequences");
    micro_batch = begun_with ? begun_with->as_integer() : 0;
    if (micro_batch == 0) micro_batch = chosen_micro_batch(config.train.seq_len, n_threads);
  }
  config.data.seq_len = config.train.seq_len;
  config.data.seed = static_cast<uint64_t>(config.train.seed);
  if (config.data.tokenizer.empty()) config.data.tokenizer = config.model.init;
  if (!config.data.tokenizer.empty() || config.origins.contains("data.vocab_size")) return config;
  if (!start.shape) {
    config.data.vocab_size = model_shape(config, 0).vocab_size;
    return config;
  }
  // The data of a run that goes on stay the same, whatever its preset's vocabulary is by now.
  const Json* recorded = find_setting(start.recorded, "data", "vocab_size");
  config.data.vocab_size = recorded ? recorded->as_integer() : start.shape->vocab_size;
  return config;
}

}  // namespace hadal
