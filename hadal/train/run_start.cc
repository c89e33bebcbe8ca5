#include "hadal/train/run_start.h"

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/core/log.h"
#include "hadal/model/checkpoint.h"
#include "hadal/train/phases.h"

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

// What a phase may change of a shape, laid over the one that the phase before ended with.
ModelConfig with_positions(const ModelConfig& shape, const Json& overrides) {
  Json changes = Json::object();
  for (const char* key : {"rope_scaling", "rope_theta", "max_position_embeddings"}) {
    if (const Json* value = overrides.find(key)) changes[key] = *value;
  }
  return override_shape(shape, changes);
}

}  // namespace

RunStart find_run_start(const RunFolder& run, const TrainConfig& config, bool resume) {
  RunStart start;
  if (!resume) return start;
  start.recorded = file_layer(run.path() + "/run.toml");
  if (const auto checkpoint = find_valid_checkpoint(run)) {
    const RunProgress progress = read_run_progress(*checkpoint);
    start.checkpoint = *checkpoint;
    start.phases = progress.phases;
    start.begins_phase = start.phase() > 0 && progress.data_position.is_null();
    require(start.phase() < n_phases(config),
            {.field = "phase",
             .problem = "fewer phases than the run has begun",
             .found = n_phases(config),
             .expected = {"at least ", start.phase() + 1, " as in ", *checkpoint},
             .advice = "leave {config} out to go on with the run's own"});
    // Where a phase begins, the checkpoint is still that of the phase before.
    const int64_t stored_in = start.phase() - (start.begins_phase ? 1 : 0);
    start.shape = resumed_shape(config_of_phase(config, stored_in), start.recorded, *checkpoint);
    if (start.begins_phase) {
      const Json& changes = config_of_phase(config, start.phase()).model.overrides;
      start.shape = with_positions(*start.shape, changes);
    }
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

TrainConfig current_phase(const TrainConfig& config, const RunStart& start) {
  TrainConfig current = config;
  std::shared_ptr<const ReadBefore> before;
  for (int64_t i = 1; i <= start.phase(); ++i) {
    before = std::make_shared<ReadBefore>(
        ReadBefore{current.data, start.phases[static_cast<size_t>(i - 1)].read});
    current = config_of_phase(config, i);
    current.data.seq_len = current.train.seq_len;
    if (current.data.tokenizer.empty()) current.data.tokenizer = start.checkpoint;
    current.data.before = before;
  }
  return current;
}

}  // namespace hadal
