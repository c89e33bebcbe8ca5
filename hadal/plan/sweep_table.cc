// A sweep as CSV and JSON.
#include <charconv>
#include <cmath>

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
