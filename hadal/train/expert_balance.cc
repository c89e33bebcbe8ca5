#include "hadal/train/expert_balance.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace hadal {

void update_route_bias(Param& route_bias, std::span<const int64_t> load, float gamma) {
  const Tensor before = route_bias.master.to_host();
  const auto known = before.flat<float>();
  std::vector<float> bias(known.begin(), known.end());
  if (load.size() != bias.size()) {
    throw ShapeError(
        concat("update_route_bias: ", load.size(), " loads for ", bias.size(), " experts"));
  }
  // Compared as E * load_i with the sum: whole numbers, so equal is equal.
  const int64_t total = std::accumulate(load.begin(), load.end(), int64_t{0});
  const auto n_experts = static_cast<int64_t>(load.size());
  for (size_t e = 0; e < load.size(); ++e) {
    const int64_t excess = load[e] * n_experts - total;
    if (excess < 0) bias[e] += gamma;
    if (excess > 0) bias[e] -= gamma;
  }
  route_bias.master.read_from(bias.data());
}

double max_violation(std::span<const int64_t> load) {
  const int64_t total = std::accumulate(load.begin(), load.end(), int64_t{0});
  if (total == 0) return 0.0;
  const double mean = static_cast<double>(total) / static_cast<double>(load.size());
  return static_cast<double>(*std::max_element(load.begin(), load.end())) / mean - 1.0;
}

}  // namespace hadal
