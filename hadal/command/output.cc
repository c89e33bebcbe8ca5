#include <algorithm>
#include <cmath>
#include <cstdio>

#include "hadal/command/command.h"
#include "hadal/core/number_text.h"

namespace hadal::cli {
namespace {

void write(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

std::string scalar_text(const Json& value) {
  if (value.is_string()) return value.as_string();
  if (value.is_number() && !value.is_integer()) {
    return printed("%.6g", value.as_number());
  }
  return value.dump();
}

bool is_table(const Json& value) {
  if (!value.is_array() || value.as_array().empty()) return false;
  return std::all_of(value.as_array().begin(), value.as_array().end(),
                     [](const Json& row) { return row.is_object(); });
}

std::string table_text(const Json::Array& rows, const std::string& indent) {
  const Json::Object& header = rows.front().as_object();
  std::vector<size_t> widths;
  for (const auto& [name, value] : header) widths.push_back(name.size());
  std::vector<std::vector<std::string>> cells;
  for (const Json& row : rows) {
    std::vector<std::string>& line = cells.emplace_back();
    for (size_t column = 0; column < header.size(); ++column) {
      const Json* value = row.find(header[column].first);
      line.push_back(value ? scalar_text(*value) : "");
      widths[column] = std::max(widths[column], line.back().size());
    }
  }
  std::string text = indent;
  for (size_t column = 0; column < header.size(); ++column) {
    text +=
        header[column].first + std::string(widths[column] - header[column].first.size() + 2, ' ');
  }
  text += "\n";
  for (const auto& line : cells) {
    text += indent;
    for (size_t column = 0; column < line.size(); ++column) {
      const bool number = rows.front().as_object()[column].second.is_number();
      const std::string pad(widths[column] - line[column].size(), ' ');
      text += (number ? pad + line[column] : line[column] + pad) + "  ";
    }
    text += "\n";
  }
  return text;
}

std::string object_text(const Json::Object& object, const std::string& indent) {
  size_t width = 0;
  for (const auto& [name, value] : object) width = std::max(width, name.size());
  std::string text;
  for (const auto& [name, value] : object) {
    if (value.is_object()) {
      text += indent + name + "\n" + object_text(value.as_object(), indent + "  ");
    } else if (is_table(value)) {
      text += indent + name + "\n" + table_text(value.as_array(), indent + "  ");
    } else {
      text += indent + name + std::string(width - name.size() + 2, ' ') + scalar_text(value) + "\n";
    }
  }
  return text;
}

}  // namespace

void Output::report(const Json& document) {
  if (json_) {
    write(document.dump() + "\n");
  } else if (document.is_object()) {
    write(object_text(document.as_object(), ""));
  } else {
    write(scalar_text(document) + "\n");
  }
}

void Output::text(const std::string& text) {
  if (!json_) write(text);
}

}  // namespace hadal::cli
