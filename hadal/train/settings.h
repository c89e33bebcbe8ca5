// train/settings.h: a run configuration as one table of named settings.
//
// Each setting is bound to a field of an options struct, with its range and its meaning. The table
// feeds everything that must agree: reading TOML and the environment, --set, the error for an
// unknown name, the resolved run.toml, `hadal config show`.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "hadal/core/toml.h"

namespace hadal {

struct Setting {
  using Target = std::variant<int64_t*, double*, bool*, std::string*, std::vector<std::string>*,
                              std::vector<double>*>;
  std::string name;  // "train.seq_len"
  Target target;
  std::string help;
  double min = -std::numeric_limits<double>::infinity();  // numbers only
  double max = std::numeric_limits<double>::infinity();
  std::vector<std::string> choices = {};  // strings only; empty: any
};

Json setting_value(const Setting& setting);

// One layer of settings: its keys override those of the layers before it.
struct SettingsLayer {
  std::string origin;  // "run.toml", "environment", "{set}": the setting `set` of the call
  Json root;           // object of sections
  std::map<std::string, int> line_of = {};
  // Where a key of this layer stands: "run.toml: line 7".
  std::string place(const std::string& name) const;
};

// The file, or an empty layer when `optional` and there is none.
SettingsLayer file_layer(const std::string& path, bool optional = false);
// HADAL_SECTION_KEY of every setting in the table; values are spelled as in TOML, bare strings too.
SettingsLayer environment_layer(const std::vector<Setting>& table);
// "train.steps=100"
SettingsLayer assignments_layer(const std::vector<std::string>& assignments);

// Writes the layers into the fields. ConfigError: unknown name (with the nearest), wrong type, out
// of range. Keys of the section `open_section` that the table lacks are not errors; they come back.
// `origins` receives where each setting that is not at its default came from.
Json apply_settings(const std::vector<SettingsLayer>& layers, const std::vector<Setting>& table,
                    const std::string& open_section, std::map<std::string, std::string>& origins);

}  // namespace hadal
