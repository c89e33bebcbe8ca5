#include "hadal/schedule/expert_load.h"

#include <cmath>
#include <numeric>
#include <utility>

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/core/json.h"
#include "hadal/core/nearest.h"
#include "hadal/core/rng.h"
#include "hadal/schedule/placement_check.h"

namespace hadal {
namespace {

constexpr int64_t kMaxFileBytes = int64_t{1} << 28;  // 58 layers of 256 experts take 300 KB

std::vector<std::vector<double>> rows_of(const Json& json, const std::string& path) {
  if (!json.is_array()) {
    throw FormatError(concat(path, ": not a table of loads (found ", json.type_name(),
                             ", expected a list with one list of loads per layer)"));
  }
  std::vector<std::vector<double>> rows;
  for (const Json& row : json.as_array()) {
    const size_t index = rows.size();
    if (!row.is_array()) {
      throw FormatError(concat(path, ": row ", index, " is not a layer's loads (found ",
                               row.type_name(), ", expected a list of numbers)"));
    }
    std::vector<double>& loads = rows.emplace_back();
    for (const Json& load : row.as_array()) {
      if (!load.is_number()) {
        throw FormatError(concat(path, ": not a load (found ", load.type_name(), " for expert ",
                                 loads.size(), " in row ", index, ", expected a number)"));
      }
      loads.push_back(load.as_number());
    }
  }
  return rows;
}

std::vector<int64_t> layer_numbers(const Json& json, size_t n_rows, const std::string& path) {
  std::vector<int64_t> numbers;
  bool valid = json.is_array();
  if (valid) {
    for (const Json& number : json.as_array()) {
      const int64_t above = numbers.empty() ? -1 : numbers.back();
      valid = valid && number.is_integer() && !number.is_unsigned() && number.as_integer() > above;
      if (valid) numbers.push_back(number.as_integer());
    }
  }
  if (!valid || numbers.size() != n_rows) {
    throw FormatError(concat(path, ": layers: not the numbers of the rows (expected ", n_rows,
                             " ascending integers, 0 or more)"));
  }
  return numbers;
}

}  // namespace

LayerLoads number_layers(std::vector<std::vector<double>> rows, const std::string& source) {
  LayerLoads loads;
  loads.source = source;
  for (size_t row = 0; row < rows.size(); ++row) {
    if (rows[row].empty()) continue;
    loads.load.push_back(std::move(rows[row]));
    loads.layers.push_back(static_cast<int64_t>(row));
  }
  check_expert_load(loads.load, source);
  return loads;
}

LayerLoads read_layer_loads(const std::string& path) {
  const Json json = parse_json(read_text_file(path, kMaxFileBytes), path);
  if (!json.is_object()) return number_layers(rows_of(json, path), path);
  const std::vector<std::string> known = {"load", "layers"};
  for (const auto& [key, value] : json.as_object()) {
    if (key != "load" && key != "layers") {
      throw FormatError(Complaint{.place = path,
                                  .problem = "unknown key",
                                  .found = in_quotes(key),
                                  .expected = "load or layers",
                                  .advice = did_you_mean(key, known)});
    }
  }
  const Json* table = json.find("load");
  if (!table) throw FormatError(concat(path, ": no loads (expected a key \"load\")"));
  std::vector<std::vector<double>> rows = rows_of(*table, path);
  const Json* numbers = json.find("layers");
  if (!numbers) return number_layers(std::move(rows), path);
  const std::vector<int64_t> number_of_row = layer_numbers(*numbers, rows.size(), path);
  LayerLoads loads = number_layers(std::move(rows), path);
  for (int64_t& layer : loads.layers) layer = number_of_row[static_cast<size_t>(layer)];
  return loads;
}

LayerLoads zipf_layer_loads(int64_t n_layers, int64_t n_experts, double exponent, uint64_t seed) {
  require(
      n_layers >= 1 && n_layers <= 1024,
      {.field = "n_layers", .problem = "out of range", .found = n_layers, .expected = "1 to 1024"});
  require(n_experts >= 1 && n_experts <= 16384, {.field = "n_experts",
                                                 .problem = "out of range",
                                                 .found = n_experts,
                                                 .expected = "1 to 16384"});
  require(exponent >= 0 && exponent <= 10, {.field = "exponent",
                                            .problem = "out of range",
                                            .found = exponent,
                                            .expected = "0, all equal, to 10"});
  std::vector<double> share;
  for (int64_t rank = 1; rank <= n_experts; ++rank) {
    share.push_back(std::pow(static_cast<double>(rank), -exponent));
  }
  const double mean =
      std::accumulate(share.begin(), share.end(), 0.0) / static_cast<double>(n_experts);
  for (double& value : share) value /= mean;
  std::vector<std::vector<double>> rows(static_cast<size_t>(n_layers), share);
  for (size_t layer = 0; layer < rows.size(); ++layer) {
    Rng rng(seed, layer);
    for (size_t i = share.size() - 1; i > 0; --i) {
      std::swap(rows[layer][i], rows[layer][rng.uniform_below(i + 1)]);
    }
  }
  return number_layers(std::move(rows), concat("Zipf ", exponent, ", seed ", seed));
}

}  // namespace hadal
