#include "hadal/train/settings.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/core/joined.h"
#include "hadal/core/nearest.h"
#include "hadal/io/path_status.h"

namespace hadal {
namespace {

constexpr size_t kLongestEcho = 100;  // of what somebody else wrote, in an error line

std::string shown(const std::string& name) { return one_line(name, kLongestEcho); }

// Calls take(section, key, value) for every key one level down.
template <class Take>
void for_each_key(const SettingsLayer& layer, const Take& take) {
  for (const auto& [section, content] : layer.root.as_object()) {
    require(content.is_object(), {.place = layer.place(section),
                                  .field = shown(section),
                                  .problem = "stands outside a section",
                                  .found = content.type_name(),
                                  .expected = "[section]",
                                  .advice = "settings are spelled section.key"});
    for (const auto& [key, value] : content.as_object()) take(section, key, value);
  }
}

void check_range(const std::string& place, const Setting& setting, double value) {
  if (value >= setting.min && value <= setting.max) return;
  const bool open = std::isinf(setting.max);
  throw ConfigError({.place = place,
                     .field = setting.name,
                     .problem = "out of range",
                     .found = value,
                     .expected = open ? concat("at least ", setting.min)
                                      : concat(setting.min, " to ", setting.max),
                     .advice = setting.help});
}

[[noreturn]] void wrong_type(const std::string& place, const Setting& setting, const char* wanted,
                             const Json& value) {
  throw ConfigError({.place = place,
                     .field = setting.name,
                     .problem = "wrong type",
                     .found = {value.type_name(), " ", one_line(value.dump(), kLongestEcho)},
                     .expected = wanted,
                     .advice = setting.help});
}

void assign(const std::string& place, const Setting& setting, const Json& value) {
  if (auto* const* integer = std::get_if<int64_t*>(&setting.target)) {
    // 1e9 is how people write a large number of tokens.
    const bool whole =
        value.is_integer() || (value.is_number() && std::abs(value.as_number()) < 9e15 &&
                               value.as_number() == std::floor(value.as_number()));
    if (!whole) wrong_type(place, setting, "an integer", value);
    check_range(place, setting, value.as_number());
    **integer = value.as_integer();
  } else if (auto* const* number = std::get_if<double*>(&setting.target)) {
    if (!value.is_number()) wrong_type(place, setting, "a number", value);
    check_range(place, setting, value.as_number());
    **number = value.as_number();
  } else if (auto* const* flag = std::get_if<bool*>(&setting.target)) {
    if (!value.is_bool()) wrong_type(place, setting, "true or false", value);
    **flag = value.as_bool();
  } else if (auto* const* text = std::get_if<std::string*>(&setting.target)) {
    if (!value.is_string()) wrong_type(place, setting, "a string", value);
    const auto& allowed = setting.choices;
    require(allowed.empty() || std::count(allowed.begin(), allowed.end(), value.as_string()) > 0,
            {.place = place,
             .field = setting.name,
             .problem = "unknown value",
             .found = in_quotes(value.as_string()),
             .expected = {"one of ", joined(allowed, ", ")},
             .advice = setting.help});
    **text = value.as_string();
  } else if (auto* const* numbers = std::get_if<std::vector<double>*>(&setting.target)) {
    if (!value.is_array()) wrong_type(place, setting, "a list of numbers", value);
    (*numbers)->clear();
    for (const Json& item : value.as_array()) {
      if (!item.is_number()) wrong_type(place, setting, "a list of numbers", value);
      check_range(place, setting, item.as_number());
      (*numbers)->push_back(item.as_number());
    }
  } else {
    auto& list = **std::get_if<std::vector<std::string>*>(&setting.target);
    list.clear();
    if (value.is_string()) {
      list.push_back(value.as_string());
      return;
    }
    if (!value.is_array()) wrong_type(place, setting, "a list of strings", value);
    for (const Json& item : value.as_array()) {
      if (!item.is_string()) wrong_type(place, setting, "a list of strings", value);
      list.push_back(item.as_string());
    }
  }
}

// A value from the command line or the environment: TOML if it parses, otherwise a bare string.
Json parse_value(const std::string& text) {
  try {
    const TomlDocument document = parse_toml("value = " + text, "value");
    if (document.root.as_object().size() == 1) return document.root.at("value");
  } catch (const FormatError&) {
    return Json(text);
  }
  return Json(text);
}

}  // namespace

Json setting_value(const Setting& setting) {
  return std::visit(
      [](const auto* field) -> Json {
        if constexpr (std::is_same_v<decltype(field), const std::vector<std::string>*> ||
                      std::is_same_v<decltype(field), const std::vector<double>*>) {
          return Json::array_of(*field);
        } else {
          return Json(*field);
        }
      },
      setting.target);
}

std::string SettingsLayer::place(const std::string& name) const {
  const auto line = line_of.find(name);
  return line == line_of.end() ? origin : concat(origin, ": line ", line->second);
}

SettingsLayer file_layer(const std::string& path, bool optional) {
  if (optional && !path_exists(path)) return {path, Json::object()};
  TomlDocument document = parse_toml_file(path);
  return {path, std::move(document.root), std::move(document.line_of)};
}

SettingsLayer environment_layer(const std::vector<Setting>& table) {
  SettingsLayer layer{"environment", Json::object()};
  for (const Setting& setting : table) {
    std::string variable = "HADAL_";
    for (const char c : setting.name) {
      variable += c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    }
    const char* text = std::getenv(variable.c_str());
    if (!text) continue;
    const size_t dot = setting.name.find('.');
    layer.root[setting.name.substr(0, dot)][setting.name.substr(dot + 1)] = parse_value(text);
  }
  return layer;
}

SettingsLayer assignments_layer(const std::vector<std::string>& assignments) {
  SettingsLayer layer{"{set}", Json::object()};
  for (const std::string& text : assignments) {
    const size_t equals = text.find('=');
    const size_t dot = text.find('.');
    require(equals != std::string::npos && dot < equals && dot > 0 && dot + 1 < equals,
            {.field = "set",
             .problem = "not an assignment",
             .found = one_line(text, kLongestEcho),
             .expected = "section.key=value",
             .advice = "for example {set} train.steps=100"});
    layer.root[text.substr(0, dot)][text.substr(dot + 1, equals - dot - 1)] =
        parse_value(text.substr(equals + 1));
  }
  return layer;
}

Json apply_settings(const std::vector<SettingsLayer>& layers, const std::vector<Setting>& table,
                    const std::string& open_section, std::map<std::string, std::string>& origins) {
  std::map<std::string, const Setting*> by_name;
  std::vector<std::string> names;
  for (const Setting& setting : table) {
    by_name[setting.name] = &setting;
    names.push_back(setting.name);
  }
  Json open = Json::object();
  for (const SettingsLayer& layer : layers) {
    for_each_key(layer, [&](const std::string& section, const std::string& key, const Json& value) {
      const std::string name = section + "." + key;
      if (const auto found = by_name.find(name); found != by_name.end()) {
        assign(layer.place(name), *found->second, value);
      } else if (section == open_section) {
        open[key] = value;
      } else {
        throw ConfigError({.place = layer.place(name),
                           .field = shown(name),
                           .problem = "unknown setting",
                           .expected = "one that `hadal config show` lists",
                           .advice = did_you_mean(name, names)});
      }
      origins[name] = layer.origin;
    });
  }
  return open;
}

}  // namespace hadal
