#include "hadal/plan_text/sweep_text.h"

#include <algorithm>
#include <cmath>

#include "hadal/core/number_text.h"

namespace hadal::cli {
namespace {

std::string readable(double value, const std::string& unit) {
  if (std::isnan(value)) return "-";
  if (!unit.empty()) return human_quantity(value, unit);
  const bool whole = value == std::floor(value) && std::abs(value) < 1e9;
  return printed(whole ? "%.0f" : "%.5g", value);
}

}  // namespace

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

}  // namespace hadal::cli
