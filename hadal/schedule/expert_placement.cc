#include "hadal/schedule/expert_placement.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "hadal/core/checked_math.h"
#include "hadal/schedule/expert_balance.h"
#include "hadal/schedule/expert_packing.h"
#include "hadal/schedule/placement_check.h"

namespace hadal {
namespace {

using Weights = std::vector<double>;

// Loads of the experts listed.
Weights loads_of(const Weights& load, const std::vector<int32_t>& experts) {
  Weights picked;
  for (const int32_t expert : experts) picked.push_back(load[static_cast<size_t>(expert)]);
  return picked;
}

// Groups to nodes: all experts, node by node, [n_nodes * (N / n_nodes)].
std::vector<int32_t> experts_by_node(const Weights& load, int64_t n_groups, int64_t n_nodes) {
  const auto n_experts = static_cast<int64_t>(load.size());
  const int64_t group_size = n_experts / n_groups;
  Weights group_load;
  for (auto group = load.begin(); group != load.end(); group += group_size) {
    group_load.push_back(std::accumulate(group, group + group_size, 0.0));
  }
  const Packing node = balanced_packing(group_load, n_nodes);
  std::vector<int32_t> experts(load.size());
  for (int64_t expert = 0; expert < n_experts; ++expert) {
    const auto group = static_cast<size_t>(expert / group_size);
    const int64_t place = node.pack_of[group] * (n_groups / n_nodes) + node.rank_in_pack[group];
    experts[static_cast<size_t>(place * group_size + expert % group_size)] =
        static_cast<int32_t>(expert);
  }
  return experts;
}

// The published algorithm for one layer. The result is in order of slots.
Replication place_layer(const Weights& load, const PlacementShape& shape) {
  const int64_t n_nodes = shape.n_nodes;
  const auto n_experts = static_cast<int64_t>(load.size());
  const int64_t slots_per_node = shape.n_replicas / n_nodes;
  const int64_t slots_per_gpu = shape.n_replicas / shape.n_gpus;
  const std::vector<int32_t> by_node = experts_by_node(load, shape.n_groups, n_nodes);
  Replication result;
  result.expert_of.resize(static_cast<size_t>(shape.n_replicas));
  result.rank_of.resize(static_cast<size_t>(shape.n_replicas));
  result.count.resize(load.size());
  for (int64_t node = 0; node < n_nodes; ++node) {
    const auto begin = by_node.begin() + node * (n_experts / n_nodes);
    const std::vector<int32_t> experts(begin, begin + n_experts / n_nodes);
    const Weights node_load = loads_of(load, experts);
    const Replication copies = replicate_experts(node_load, slots_per_node);
    for (size_t i = 0; i < experts.size(); ++i) {
      result.count[static_cast<size_t>(experts[i])] = copies.count[i];
    }
    Weights share;  // of each replica
    for (const int32_t i : copies.expert_of) {
      share.push_back(node_load[static_cast<size_t>(i)] / copies.count[static_cast<size_t>(i)]);
    }
    const Packing gpu = balanced_packing(share, shape.n_gpus / n_nodes);
    for (size_t replica = 0; replica < share.size(); ++replica) {
      const auto slot = static_cast<size_t>(
          node * slots_per_node + gpu.pack_of[replica] * slots_per_gpu + gpu.rank_in_pack[replica]);
      result.expert_of[slot] = experts[static_cast<size_t>(copies.expert_of[replica])];
      result.rank_of[slot] = copies.rank_of[replica];
    }
  }
  return result;
}

double heaviest(const Weights& load, const std::vector<int32_t>& expert_of_slot,
                const std::vector<int32_t>& count, int64_t n_gpus) {
  const Weights gpu = gpu_loads(load, expert_of_slot, count, n_gpus);
  return *std::max_element(gpu.begin(), gpu.end());
}

// `base` (every expert once, N in order of slots) with the free slots filled so that no GPU's load
// exceeds the heaviest of `base`: a GPU without experts takes a copy of its node's heaviest, which
// lightens that one's holder and weighs less than it did; a GPU with experts takes copies of its
// own, which shares their load within the GPU.
Replication fill_with_copies(const Weights& load, const std::vector<int32_t>& base,
                             const PlacementShape& shape) {
  const auto n_experts = static_cast<int64_t>(base.size());
  const int64_t gpus_per_node = shape.n_gpus / shape.n_nodes;
  std::vector<std::vector<int32_t>> held(static_cast<size_t>(shape.n_gpus));
  std::vector<std::vector<int32_t>> on_node(static_cast<size_t>(shape.n_nodes));
  for (int64_t slot = 0; slot < n_experts; ++slot) {
    const int64_t gpu = gpu_of_slot(slot, n_experts, shape.n_gpus);
    const int32_t expert = base[static_cast<size_t>(slot)];
    held[static_cast<size_t>(gpu)].push_back(expert);
    on_node[static_cast<size_t>(gpu / gpus_per_node)].push_back(expert);
  }
  for (int64_t node = 0; node < shape.n_nodes; ++node) {
    const std::vector<int32_t>& experts = on_node[static_cast<size_t>(node)];
    const auto first_gpu = held.begin() + node * gpus_per_node;
    const auto n_empty = std::count_if(first_gpu, first_gpu + gpus_per_node,
                                       [](const auto& list) { return list.empty(); });
    const Replication copies =
        replicate_experts(loads_of(load, experts), static_cast<int64_t>(experts.size()) + n_empty);
    size_t next = experts.size();
    for (auto gpu = first_gpu; gpu != first_gpu + gpus_per_node; ++gpu) {
      if (gpu->empty()) gpu->push_back(experts[static_cast<size_t>(copies.expert_of[next++])]);
    }
  }
  Replication result;
  result.count.resize(load.size());
  for (const std::vector<int32_t>& experts : held) {
    const Replication copies =
        replicate_experts(loads_of(load, experts), shape.n_replicas / shape.n_gpus);
    for (const int32_t i : copies.expert_of) {
      const int32_t expert = experts[static_cast<size_t>(i)];
      result.expert_of.push_back(expert);
      result.rank_of.push_back(result.count[static_cast<size_t>(expert)]++);
    }
  }
  return result;
}

// The published placement, unless one without redundancy is better balanced: experts in order, or
// packed by load where they divide evenly. True where it was replaced.
bool replace_if_worse(const Weights& load, const PlacementShape& shape, Replication& layer) {
  const std::vector<int32_t> once(load.size(), 1);
  std::vector<int32_t> base(load.size());
  std::iota(base.begin(), base.end(), 0);
  double best = heaviest(load, base, once, shape.n_gpus);
  if (static_cast<int64_t>(load.size()) % shape.n_gpus == 0) {
    PlacementShape without = shape;
    without.n_replicas = static_cast<int64_t>(load.size());
    const Replication packed = place_layer(load, without);
    const double load_packed = heaviest(load, packed.expert_of, once, shape.n_gpus);
    if (load_packed < best) {
      best = load_packed;
      base = packed.expert_of;
    }
  }
  // Sums of shares round differently from sums of whole loads; that is not a difference.
  constexpr double kRounding = 1.0 + 1e-12;
  if (heaviest(load, layer.expert_of, layer.count, shape.n_gpus) <= best * kRounding) return false;
  layer = fill_with_copies(load, base, shape);
  return true;
}

// The published shapes of all layers.
ExpertPlacement collect(std::vector<Replication> layers) {
  ExpertPlacement placement;
  size_t max_count = 1;
  for (const Replication& layer : layers) {
    for (const int32_t count : layer.count) {
      max_count = std::max(max_count, static_cast<size_t>(count));
    }
  }
  check_slot_table(static_cast<int64_t>(layers.size()),
                   static_cast<int64_t>(layers.front().count.size()),
                   static_cast<int64_t>(max_count));
  for (Replication& layer : layers) {
    auto& slots = placement.slots_of_expert.emplace_back(layer.count.size(),
                                                         std::vector<int32_t>(max_count, -1));
    for (size_t slot = 0; slot < layer.expert_of.size(); ++slot) {
      slots[static_cast<size_t>(layer.expert_of[slot])][static_cast<size_t>(layer.rank_of[slot])] =
          static_cast<int32_t>(slot);
    }
    placement.expert_of_slot.push_back(std::move(layer.expert_of));
    placement.replica_count.push_back(std::move(layer.count));
  }
  return placement;
}

}  // namespace

ExpertPlacement place_experts(const std::vector<std::vector<double>>& load,
                              const PlacementShape& shape) {
  check_expert_load(load);
  check_placement_shape(static_cast<int64_t>(load.size()),
                        static_cast<int64_t>(load.front().size()), shape);
  PlacementShape used = shape;
  const bool hierarchical = is_hierarchical(shape);
  if (!hierarchical) used.n_groups = used.n_nodes = 1;
  std::vector<Replication> layers;
  std::vector<int64_t> replaced;
  for (const Weights& layer_load : load) {
    layers.push_back(place_layer(layer_load, used));
    if (!shape.as_published && replace_if_worse(layer_load, used, layers.back())) {
      replaced.push_back(static_cast<int64_t>(layers.size()) - 1);
    }
  }
  ExpertPlacement placement = collect(std::move(layers));
  placement.hierarchical = hierarchical;
  placement.replaced = std::move(replaced);
  return placement;
}

ExpertPlacement place_in_order(int64_t n_layers, int64_t n_experts, int64_t n_gpus) {
  check_placement_shape(n_layers, n_experts,
                        {.n_replicas = ceil_div(n_experts, n_gpus) * n_gpus, .n_gpus = n_gpus});
  std::vector<int32_t> in_order(static_cast<size_t>(n_experts));
  std::iota(in_order.begin(), in_order.end(), 0);
  const Replication layer{in_order, std::vector<int32_t>(in_order.size()),
                          std::vector<int32_t>(in_order.size(), 1)};
  return collect(std::vector<Replication>(static_cast<size_t>(n_layers), layer));
}

}  // namespace hadal
