#include "hadal/core/toml.h"

#include <sstream>
#include <toml++/toml.h>

#include "hadal/core/error.h"

namespace hadal {
namespace {

Json to_json(const toml::node& node, const std::string& path, std::map<std::string, int>& lines) {
  if (!path.empty()) lines[path] = static_cast<int>(node.source().begin.line);
  if (const auto* table = node.as_table()) {
    Json result = Json::object();
    for (const auto& [key, value] : *table) {
      const std::string name(key.str());
      result[name] = to_json(value, path.empty() ? name : path + "." + name, lines);
    }
    return result;
  }
  if (const auto* array = node.as_array()) {
    Json result = Json::array();
    for (const auto& value : *array) result.push_back(to_json(value, path, lines));
    return result;
  }
  if (const auto* value = node.as_boolean()) return Json(value->get());
  if (const auto* value = node.as_integer()) return Json(int64_t{value->get()});
  if (const auto* value = node.as_floating_point()) return Json(value->get());
  if (const auto* value = node.as_string()) return Json(value->get());
  std::ostringstream text;
  if (const auto* value = node.as_date()) text << value->get();
  if (const auto* value = node.as_time()) text << value->get();
  if (const auto* value = node.as_date_time()) text << value->get();
  return Json(text.str());
}

void write_value(std::ostringstream& out, const Json& value) {
  if (value.is_number() && !value.is_integer()) {
    std::string text = value.dump();
    // TOML tells floats from integers by their spelling.
    if (text.find_first_of(".eE") == std::string::npos) text += ".0";
    out << text;
  } else if (value.is_array()) {
    out << "[";
    for (size_t i = 0; i < value.as_array().size(); ++i) {
      if (i > 0) out << ", ";
      write_value(out, value.as_array()[i]);
    }
    out << "]";
  } else {
    out << value.dump();  // strings: JSON escapes are valid TOML basic strings
  }
}

void write_table(std::ostringstream& out, const Json& table, const std::string& path) {
  for (const auto& [key, value] : table.as_object()) {
    if (value.is_object() || value.is_null()) continue;
    out << key << " = ";
    write_value(out, value);
    out << "\n";
  }
  for (const auto& [key, value] : table.as_object()) {
    if (!value.is_object()) continue;
    const std::string name = path.empty() ? key : path + "." + key;
    out << "\n[" << name << "]\n";
    write_table(out, value, name);
  }
}

}  // namespace

TomlDocument parse_toml(std::string_view text, const std::string& source) {
  try {
    const toml::table table = toml::parse(text, source);
    TomlDocument document;
    document.root = to_json(table, "", document.line_of);
    return document;
  } catch (const toml::parse_error& error) {
    throw FormatError(concat(source, ": line ", error.source().begin.line, ": not valid TOML (",
                             error.description(), ")"));
  }
}

TomlDocument parse_toml_file(const std::string& path) {
  return parse_toml(read_text_file(path, 1 << 24), path);
}

std::string write_toml(const Json& root) {
  std::ostringstream out;
  write_table(out, root, "");
  return out.str();
}

}  // namespace hadal
