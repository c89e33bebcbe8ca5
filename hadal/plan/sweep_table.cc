// A sweep as CSV, JSON and text.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

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

std::string readable(double value) {
  if (std::isnan(value)) return "-";
  char text[40];
  if (value == std::floor(value) && std::abs(value) < 1e9) {
    std::snprintf(text, sizeof text, "%.0f", value);
  } else {
    std::snprintf(text, sizeof text, "%.5g", value);
  }
  return text;
}

}  // namespace

std::string sweep_csv(const SweepTable& table) {
  std::string csv;
  for (const SweepTable::Column& column : table.columns) {
    if (!csv.empty()) csv += ',';
    csv += column.name;
  }
  csv += '\n';
  for (const std::vector<double>& row : table.rows) {
    for (size_t c = 0; c < row.size(); ++c) csv += (c > 0 ? "," : "") + shortest(row[c]);
    csv += '\n';
  }
  return csv;
}

std::string sweep_text(const SweepTable& table, const std::vector<std::string>& remarks) {
  std::vector<std::vector<std::string>> lines(1);
  for (const SweepTable::Column& column : table.columns) lines[0].push_back(column.name);
  lines.emplace_back();
  for (const SweepTable::Column& column : table.columns) lines[1].push_back(column.unit);
  for (const std::vector<double>& row : table.rows) {
    lines.emplace_back();
    for (const double value : row) lines.back().push_back(readable(value));
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
    if (l >= 2 && l - 2 < remarks.size()) text += "  " + remarks[l - 2];
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
    if (!table.problems[r].empty()) problems[std::to_string(r)] = table.problems[r];
  }
  document["problems"] = std::move(problems);
  return document;
}

}  // namespace hadal
