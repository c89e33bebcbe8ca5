// schedule/expert_load.h: how much every routed expert has to do, per MoE layer: from a file, or
// drawn for those who have none. Placement needs proportions only; any unit will do.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hadal {

struct LayerLoads {
  std::vector<std::vector<double>> load;  // [L][N]
  std::vector<int64_t> layers;            // [L] the number of each in the model
  std::string source;                     // for people: "loads.json", "Zipf 0.8, seed 0"
};

// Rows in order of the model's layers; an empty row is a layer without routed experts. ConfigError
// names `source`: no loads, rows of unequal length, a number that is not a load.
LayerLoads number_layers(std::vector<std::vector<double>> rows, const std::string& source);

// JSON: [[3, 0, ...], ...], or {"load": [[...], ...], "layers": [3, 4, ...]} with the numbers of
// the rows. FormatError names the file and the row.
LayerLoads read_layer_loads(const std::string& path);

// The expert of rank k has a load proportional to k^-exponent, in an order drawn per layer; the
// mean load is 1. exponent 0: all equal.
LayerLoads zipf_layer_loads(int64_t n_layers, int64_t n_experts, double exponent, uint64_t seed);

}  // namespace hadal
