// cli/cmd_config.cc: `hadal config show`
#include "hadal/cli/commands.h"
#include "hadal/core/error.h"
#include "hadal/train/phases.h"

namespace hadal::cli {
namespace {

struct ConfigOptions {
  std::string config;
  std::vector<std::string> set;
  bool origin = false;
  int64_t phase = 1;
};

void bind(Flags& flags, ConfigOptions& o) {
  flags.example("hadal config show --config run.toml", "the settings that a run would use");
  flags.example("hadal config show --origin", "and where each of them comes from");
  flags.option("config,-c", o.config, "run configuration (TOML)");
  flags.option("set", o.set, "section.key=value, stronger than the file; repeatable");
  flags.option("phase", o.phase, "which phase of the run's; 1: the first");
  flags.flag("origin", o.origin, "say where each value comes from");
}

int run(const ConfigOptions& o, const CommonOptions&, Output& out) {
  const TrainConfig run = read_train_config(o.config, o.set);
  require(o.phase >= 1 && o.phase <= n_phases(run), {.field = "--phase",
                                                     .problem = "no such phase",
                                                     .found = o.phase,
                                                     .expected = {"1 to ", n_phases(run)}});
  TrainConfig config = config_of_phase(run, o.phase - 1);
  Json settings = Json::object();
  std::string text;
  const auto show = [&](const std::string& name, const Json& value) {
    const auto found = config.origins.find(name);
    const std::string origin =
        found == config.origins.end() ? "built-in" : with_names(found->second, out.option_of());
    Json entry = Json::object();
    entry["value"] = value;
    entry["origin"] = origin;
    settings[name] = std::move(entry);
    text += concat(name, " = ", value.dump(), o.origin ? concat("   # ", origin) : "", "\n");
  };
  for (const Setting& setting : settings_table(config)) show(setting.name, setting_value(setting));
  for (const auto& [key, value] : config.model.overrides.as_object()) show("model." + key, value);
  if (out.json()) {
    Json document = Json::object();
    document["settings"] = std::move(settings);
    out.report(document);
  }
  out.text(text);
  return 0;
}

}  // namespace

Command make_config_show_command() {
  return define_command<ConfigOptions>("config show", "the settings in force and their origin",
                                       bind, run);
}

}  // namespace hadal::cli
