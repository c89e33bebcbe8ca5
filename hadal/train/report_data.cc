#include "hadal/train/report_data.h"

#include <algorithm>
#include <limits>
#include <map>

namespace hadal {
namespace {

constexpr double kAbsent = std::numeric_limits<double>::quiet_NaN();  // JSON: null

const std::string& split_of(const Json& line) { return line.at("split").as_string(); }

// Points of about equal width over the lines of one split; names in the order of their first line.
Json thinned_series(const std::vector<const Json*>& lines, int64_t max_points) {
  const auto n = static_cast<int64_t>(lines.size());
  const int64_t points = std::min(n, max_points);
  Json series = Json::object();
  std::map<std::string, std::vector<double>> columns;
  for (int64_t point = 0; point < points; ++point) {
    const int64_t begin = point * n / points, end = (point + 1) * n / points;
    std::map<std::string, std::pair<double, int64_t>> sums;
    for (int64_t i = begin; i < end; ++i) {
      for (const auto& [name, value] : lines[static_cast<size_t>(i)]->as_object()) {
        // The load has its own figure; per-layer ratios are derived from it.
        if (!value.is_number() || name.rfind("moe/load_max_over_mean/", 0) == 0) continue;
        auto& [sum, count] = sums[name];
        sum += value.as_number();
        ++count;
      }
    }
    for (const auto& [name, total] : sums) {
      std::vector<double>& column = columns[name];
      column.resize(static_cast<size_t>(point), kAbsent);
      column.push_back(total.first / static_cast<double>(total.second));
    }
  }
  for (auto& [name, column] : columns) {
    column.resize(static_cast<size_t>(points), kAbsent);
    series[name] = Json::array_of(column);
  }
  return series;
}

Json relative_load(const Json::Array& counts) {
  double total = 0.0;
  for (const Json& count : counts) total += count.as_number();
  const double mean = total / static_cast<double>(counts.size());
  std::vector<double> result;
  for (const Json& count : counts) {
    // Two decimals are more than a colour can show.
    const double ratio = mean > 0.0 ? count.as_number() / mean : 0.0;
    result.push_back(static_cast<double>(static_cast<int64_t>(ratio * 100.0 + 0.5)) / 100.0);
  }
  return Json::array_of(result);
}

Json load_map(const std::vector<const Json*>& train, int64_t max_columns) {
  std::vector<const Json*> recorded;
  for (const Json* line : train) {
    if (line->find("moe/load")) recorded.push_back(line);
  }
  const auto n = static_cast<int64_t>(recorded.size());
  const int64_t columns = std::min(n, max_columns);
  Json steps = Json::array(), layers = Json::array();
  for (int64_t c = 0; c < columns; ++c) {
    // The first and the last record are always among them.
    const int64_t at = columns == 1 ? 0 : c * (n - 1) / (columns - 1);
    const Json& line = *recorded[static_cast<size_t>(at)];
    steps.push_back(line.at("step"));
    const Json::Array& load = line.at("moe/load").as_array();
    size_t row = 0;
    for (size_t layer = 0; layer < load.size(); ++layer) {
      if (load[layer].as_array().empty()) continue;
      if (c == 0) {
        Json entry = Json::object();
        entry["layer"] = static_cast<int64_t>(layer);
        entry["columns"] = Json::array();
        layers.push_back(std::move(entry));
      }
      layers.as_array()[row++]["columns"].push_back(relative_load(load[layer].as_array()));
    }
  }
  Json result = Json::object();
  result["steps"] = std::move(steps);
  result["layers"] = std::move(layers);
  return result;
}

}  // namespace

Json report_data(const std::vector<Json>& lines, int64_t max_points, int64_t max_columns) {
  std::vector<const Json*> train, val;
  for (const Json& line : lines) (split_of(line) == "train" ? train : val).push_back(&line);
  Json data = Json::object();
  data["train"] = thinned_series(train, max_points);
  data["val"] = thinned_series(val, static_cast<int64_t>(val.size()));
  data["load"] = load_map(train, max_columns);
  return data;
}

}  // namespace hadal
