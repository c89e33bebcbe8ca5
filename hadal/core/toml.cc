#include "hadal/core/toml.h"

#include <toml++/toml.h>
#include <cmath>
#include <sstream>
#include <utility>

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

bool is_bare_key(const std::string& key) {
  constexpr std::string_view kAllowed =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
  return !key.empty() && key.find_first_not_of(kAllowed) == std::string::npos;
}

// JSON escapes are valid in TOML's basic strings; TOML wants DEL escaped too.
std::string quoted(const std::string& text) {
  std::string result;
  for (const char c : Json(text).dump()) {
    if (c == 0x7F) {
      result += "\\u007F";
    } else {
      result += c;
    }
  }
  return result;
}

std::string key_text(const std::string& key) { return is_bare_key(key) ? key : quoted(key); }

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return Json(value).dump();
}

void write_value(std::ostringstream& out, const Json& value) {
  const char* separator = "";
  if (value.is_string()) {
    out << quoted(value.as_string());
  } else if (value.is_array()) {
    out << "[";
    for (const Json& element : value.as_array()) {
      out << std::exchange(separator, ", ");
      write_value(out, element);
    }
    out << "]";
  } else if (value.is_object()) {  // within an array: an inline table
    out << "{";
    for (const auto& [key, element] : value.as_object()) {
      out << std::exchange(separator, ", ") << key_text(key) << " = ";
      write_value(out, element);
    }
    out << "}";
  } else if (value.is_number() && !value.is_integer()) {
    out << float_text(value.as_number());
  } else {
    out << value.dump();
  }
}

void write_table(std::ostringstream& out, const Json& table, const std::string& path) {
  for (const auto& [key, value] : table.as_object()) {
    if (value.is_object() || value.is_null()) continue;
    out << key_text(key) << " = ";
    write_value(out, value);
    out << "\n";
  }
  for (const auto& [key, value] : table.as_object()) {
    if (!value.is_object()) continue;
    const std::string name = path.empty() ? key_text(key) : path + "." + key_text(key);
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
