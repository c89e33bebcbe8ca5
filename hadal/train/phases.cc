#include "hadal/train/phases.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "hadal/core/descriptor.h"
#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/corpus/document_source.h"
#include "hadal/train/run_plan.h"

namespace hadal {
namespace {

// Sections whose settings a phase may change, and the settings of other sections that it may. All
// others decide what the weights mean, how the state is stored or where the run lives.
constexpr std::array kOpenSections = {"loss", "eval", "optimizer", "train", "data"};
constexpr std::array kOpenKeys = {"model.rope_scaling", "model.rope_theta",
                                  "model.max_position_embeddings"};
constexpr std::array kClosedKeys = {
    "optimizer.moment_dtype", "optimizer.ema_decay", "train.seed",      "train.out",
    "train.max_seconds",      "data.tokenizer",      "data.vocab_size", "data.cache_dir"};

template <size_t N>
bool among(const std::array<const char*, N>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool may_change(const std::string& section, const std::string& name) {
  return among(kOpenKeys, name) || (among(kOpenSections, section) && !among(kClosedKeys, name));
}

void drop(Json& object, const char* key) {
  std::erase_if(object.as_object(), [key](const auto& entry) { return entry.first == key; });
}

// One table of [[phase]], its keys with the lines where they stand in the file.
TrainConfig::Phase phase_of(const SettingsLayer& layer, const Json& table, size_t index) {
  TrainConfig::Phase phase;
  phase.settings.origin = layer.origin;
  phase.settings.root = table;
  const std::string prefix = concat("phase[", index, "].");
  for (const auto& [name, line] : layer.line_of) {
    if (name.starts_with(prefix)) phase.settings.line_of[name.substr(prefix.size())] = line;
  }
  if (const Json* name = table.find("name")) {
    require(name->is_string(), {.place = phase.settings.place("name"),
                                .field = "phase.name",
                                .problem = "wrong type",
                                .found = name->type_name(),
                                .expected = "a string"});
    phase.name = name->as_string();
    drop(phase.settings.root, "name");
  }
  return phase;
}

void check_may_change(const TrainConfig::Phase& phase) {
  for (const auto& [section, content] : phase.settings.root.as_object()) {
    if (!content.is_object()) continue;  // apply_settings says what is wrong with it
    for (const auto& [key, value] : content.as_object()) {
      const std::string name = section + "." + key;
      require(may_change(section, name),
              {.place = phase.settings.place(name),
               .field = one_line("phase." + name, 100),
               .problem = "not a setting that a phase can change",
               .expected = "[phase.data], [phase.train], [phase.optimizer], [phase.loss], "
                           "[phase.eval] or model.rope_scaling",
               .advice = "it holds for the whole run: set it outside of [[phase]]"});
    }
  }
}

// The settings that a phase begins with: those of the one before where that one ended.
TrainConfig carried_on(TrainConfig c) {
  RunPlan plan(c);
  const int64_t end = plan.planned_tokens();
  c.optimizer.learning_rate = learning_rate(plan.learning_rates(), {plan.planned_steps(), end, 0});
  c.optimizer.end_share = c.optimizer.tail_share = 1.0;
  c.optimizer.warmup_steps = c.optimizer.warmup_tokens = 0;
  c.optimizer.constant_until_tokens = c.optimizer.decay_until_tokens = 0;
  c.optimizer.tail_until_tokens = 0;
  const auto settle = [end](double& weight, double late, int64_t& from) {
    weight = SwitchSchedule{weight, late, from}.at(end);
    from = 0;
  };
  settle(c.loss.mtp_weight, c.loss.mtp_weight_late, c.loss.mtp_late_from_tokens);
  settle(c.loss.bias_gamma, c.loss.bias_gamma_late, c.loss.bias_late_from_tokens);
  c.train.steps = c.train.tokens = 0;
  c.train.batch_ramp_start_sequences = c.train.batch_ramp_tokens = 0;
  return c;
}

TrainConfig next_phase(const TrainConfig& before, const TrainConfig::Phase& phase) {
  TrainConfig c = carried_on(before);
  // A micro-batch keeps its tokens, so that it takes about the memory that it took.
  int64_t& micro_batch = c.train.micro_batch_sequences;
  const int64_t micro_batch_tokens = micro_batch * before.train.seq_len;
  micro_batch = 0;
  const std::vector<Setting> table = settings_table(c);
  const Json shape = apply_settings({phase.settings}, table, "model", c.origins);
  for (const auto& [key, value] : shape.as_object()) c.model.overrides[key] = value;
  if (micro_batch == 0 && micro_batch_tokens > 0) {
    micro_batch = std::max<int64_t>(1, micro_batch_tokens / c.train.seq_len);
  }
  return c;
}

}  // namespace

std::vector<TrainConfig::Phase> take_phases(std::vector<SettingsLayer>& layers) {
  std::vector<TrainConfig::Phase> phases;
  for (SettingsLayer& layer : layers) {
    const Json* list = layer.root.find("phase");
    if (!list) continue;
    const bool tables =
        list->is_array() && std::all_of(list->as_array().begin(), list->as_array().end(),
                                        [](const Json& each) { return each.is_object(); });
    require(tables, {.place = layer.place("phase"),
                     .field = "phase",
                     .problem = "not a list of phases",
                     .found = list->type_name(),
                     .expected = "[[phase]] before each one"});
    phases.clear();
    for (const Json& table : list->as_array()) {
      phases.push_back(phase_of(layer, table, phases.size()));
    }
    drop(layer.root, "phase");
  }
  return phases;
}

Json phases_json(const TrainConfig& config) {
  Json list = Json::array();
  for (const TrainConfig::Phase& phase : config.phases) {
    Json table = phase.settings.root;
    if (!phase.name.empty()) table["name"] = phase.name;
    if (const Json* data = table.find("data"); data && data->find("paths")) {
      const TrainConfig now =
          config_of_phase(config, static_cast<int64_t>(list.as_array().size()) + 1);
      Json paths = Json::array();
      for (const std::string& path : now.data.paths) paths.push_back(absolute_path(path));
      table["data"]["paths"] = paths;
    }
    list.push_back(table);
  }
  return list;
}

int64_t n_phases(const TrainConfig& config) {
  return 1 + static_cast<int64_t>(config.phases.size());
}

std::string phase_name(const TrainConfig& config, int64_t phase) {
  if (phase == 0) return "pre-training";
  const std::string& name = config.phases[static_cast<size_t>(phase - 1)].name;
  return name.empty() ? concat("phase ", phase + 1) : name;
}

TrainConfig config_of_phase(const TrainConfig& config, int64_t phase) {
  TrainConfig result = config;
  for (int64_t i = 0; i < phase; ++i) {
    result = next_phase(result, config.phases[static_cast<size_t>(i)]);
  }
  return result;
}

void validate_phases(const TrainConfig& config) {
  if (config.phases.empty()) return;
  require(config.train.max_seconds == 0.0,
          {.field = "train.max_seconds",
           .problem = "a run of phases is not limited by time",
           .found = config.train.max_seconds,
           .expected = "0",
           .advice = "give each phase steps or tokens: where the next one begins must not depend "
                     "on the machine"});
  for (const TrainConfig::Phase& phase : config.phases) check_may_change(phase);
  for (int64_t i = 1; i < n_phases(config); ++i) {
    TrainConfig phase = config_of_phase(config, i);
    phase.phases.clear();
    phase.model = config.model;  // the shape is read, and checked, when the run begins
    try {
      phase.validate();
    } catch (const ConfigError& error) {
      throw ConfigError(error.in(phase_name(config, i)));
    }
  }
}

void require_texts(const TrainConfig& config, int64_t from_phase) {
  for (int64_t i = from_phase; i < n_phases(config); ++i) {
    const std::vector<std::string> paths = config_of_phase(config, i).data.paths;
    try {
      for (const SourceFile& file : list_source_files(paths)) {
        if (access(file.path.c_str(), R_OK) != 0) {
          refuse_to_read(file.path, "cannot be read", errno);
        }
      }
    } catch (const ConfigError& error) {
      throw ConfigError(error.in(phase_name(config, i)));
    } catch (const FormatError& error) {
      throw FormatError(concat(phase_name(config, i), ": ", error.what()));
    } catch (const IoError& error) {
      throw IoError(concat(phase_name(config, i), ": ", error.what()));
    }
  }
}

}  // namespace hadal
