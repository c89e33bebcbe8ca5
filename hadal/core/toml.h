// core/toml.h: TOML 1.0 run configurations, read into Json with the line of every key.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "hadal/core/json.h"

namespace hadal {

struct TomlDocument {
  Json root;                           // tables are objects, dates are strings
  std::map<std::string, int> line_of;  // "train.steps" -> 12, "phase[0].train.steps" -> 30
};

// FormatError: "run.toml: line 3: ...".
TomlDocument parse_toml(std::string_view text, const std::string& source);
TomlDocument parse_toml_file(const std::string& path);

// Writes an object of scalars, arrays, tables and lists of tables as TOML that parse_toml reads back
// unchanged (null members are left out: TOML has no null).
std::string write_toml(const Json& root);

}  // namespace hadal
