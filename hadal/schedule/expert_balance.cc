#include "hadal/schedule/expert_balance.h"

#include <algorithm>
#include <numeric>

namespace hadal {

std::vector<double> gpu_sums(const std::vector<double>& load_of_slot, int64_t n_gpus) {
  std::vector<double> gpu(static_cast<size_t>(n_gpus));
  const auto n_slots = static_cast<int64_t>(load_of_slot.size());
  for (int64_t slot = 0; slot < n_slots; ++slot) {
    gpu[static_cast<size_t>(gpu_of_slot(slot, n_slots, n_gpus))] +=
        load_of_slot[static_cast<size_t>(slot)];
  }
  return gpu;
}

std::vector<double> gpu_loads(const std::vector<double>& load,
                              const std::vector<int32_t>& expert_of_slot,
                              const std::vector<int32_t>& replica_count, int64_t n_gpus) {
  std::vector<double> of_slot;
  for (const int32_t id : expert_of_slot) {
    const auto expert = static_cast<size_t>(id);
    of_slot.push_back(load[expert] / replica_count[expert]);
  }
  return gpu_sums(of_slot, n_gpus);
}

std::vector<std::vector<double>> gpu_loads(const std::vector<std::vector<double>>& load,
                                           const ExpertPlacement& placement, int64_t n_gpus) {
  std::vector<std::vector<double>> layers;
  for (size_t layer = 0; layer < load.size(); ++layer) {
    layers.push_back(gpu_loads(load[layer], placement.expert_of_slot[layer],
                               placement.replica_count[layer], n_gpus));
  }
  return layers;
}

Balancedness balancedness(const std::vector<std::vector<double>>& of_gpus) {
  Balancedness result;
  for (const std::vector<double>& gpu : of_gpus) {
    const double heaviest = *std::max_element(gpu.begin(), gpu.end());
    const double mean =
        std::accumulate(gpu.begin(), gpu.end(), 0.0) / static_cast<double>(gpu.size());
    result.per_layer.push_back(heaviest > 0 ? mean / heaviest : 1.0);
    result.heaviest_gpu.push_back(mean > 0 ? heaviest / mean : 1.0);
  }
  result.worst = *std::min_element(result.per_layer.begin(), result.per_layer.end());
  result.mean = std::accumulate(result.per_layer.begin(), result.per_layer.end(), 0.0) /
                static_cast<double>(result.per_layer.size());
  return result;
}

Balancedness balancedness(const std::vector<std::vector<double>>& load,
                          const ExpertPlacement& placement, int64_t n_gpus) {
  return balancedness(gpu_loads(load, placement, n_gpus));
}

}  // namespace hadal
