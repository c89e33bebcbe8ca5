// A sweep as CSV, JSON and text.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "hadal/plan/formula_text.h"
#include "hadal/plan/sweep.h"

namespace hadal {
namespace {

// The shortest text that reads back to the same double.
std::string shortest(double value) {
  if (std::isnan(value)) return "";
  char text[40];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  return {text, end};
}

std::string readable(double value, const std::string& unit) {
  if (std::isnan(value)) return "-";
  if (!unit.empty()) return human_quantity(value, unit);
  char text[40];
  if (value == std::floor(value) && std::abs(value) < 1e9) {
    std::snprintf(text, sizeof text, "%.0f", value);
  } else {
    std::snprintf(text, sizeof text, "%.5g", value);
  }
  return text;
}

}  // namespace

std::string sweep_csv(const SweepTable& table, const std::vector<std::string>& remarks) {
  std::string csv;
  for (const SweepTable::Column& column : table.columns) {
    if (!csv.empty()) csv += ',';
    csv += column.name;
  }
  csv += remarks.empty() ? "\n" : ",remark\n";
  for (size_t r = 0; r < table.rows.size(); ++r) {
    const std::vector<double>& row = table.rows[r];
    for (size_t c = 0; c < row.size(); ++c) csv += (c > 0 ? "," : "") + shortest(row[c]);
    if (r < remarks.size()) csv += ",\"" + remarks[r] + '"';  // holds commas, no quotes
    csv += '\n';
  }
  return csv;
}

std::string sweep_text(const SweepTable& table, const std::vector<std::string>& remarks) {
  std::vector<std::vector<std::string>> lines(1);
  for (const SweepTable::Column& column : table.columns) lines[0].push_back(column.name);
  for (const std::vector<double>& row : table.rows) {
    lines.emplace_back();
    for (size_t c = 0; c < row.size(); ++c) {
      lines.back().push_back(readable(row[c], table.columns[c].unit));
    }
  }
  std::vector<size_t> widths(table.columns.size(), 0);
  for (const auto& line : lines) {
    for (size_t c = 0; c < line.size(); ++c) widths[c] = std::max(widths[c], line[c].size());
  }
  std::string text;
  for (size_t l = 0; l < lines.size(); ++l) {
    for (size_t c = 0; c < lines[l].size(); ++c) {
      text += std::string(widths[c] - lines[l][c].size() + (c > 0 ? 2 : 0), ' ') + lines[l][c];
    }
    if (l >= 1 && l - 1 < remarks.size()) text += "  " + remarks[l - 1];
    text += '\n';
  }
  return text;
}

Json sweep_json(const SweepTable& table) {
  Json columns = Json::array(), rows = Json::array();
  for (const SweepTable::Column& column : table.columns) {
    Json entry;
    entry["name"] = column.name;
    entry["unit"] = column.unit;
    columns.push_back(std::move(entry));
  }
  for (const std::vector<double>& row : table.rows) rows.push_back(Json::array_of(row));
  Json document;
  document["columns"] = std::move(columns);
  document["rows"] = std::move(rows);  // NaN is written as null
  Json problems = Json::object();      // by number of the row
  for (size_t r = 0; r < table.problems.size(); ++r) {
    if (!table.problems[r].empty()) problems[std::to_string(r)] = table.problems[r].line();
  }
  document["problems"] = std::move(problems);
  return document;
}

}  // namespace hadal
