#include "hadal/schedule/placement_check.h"

#include <cmath>

#include "hadal/core/checked_math.h"
#include "hadal/core/error.h"

namespace hadal {
namespace {

// Far beyond any deployment, small enough that nothing overflows and memory stays below 1 GB.
constexpr int64_t kMaxSlots = int64_t{1} << 16;     // per layer
constexpr int64_t kMaxAllSlots = int64_t{1} << 24;  // all layers
constexpr int64_t kMaxTableSize = int64_t{1} << 26;

}  // namespace

void check_expert_load(const std::vector<std::vector<double>>& load, const std::string& source) {
  require(!load.empty() && !load.front().empty(), {.place = source,
                                                   .problem = "no expert's load",
                                                   .found = "0",
                                                   .expected = "one number per layer and expert"});
  for (size_t layer = 0; layer < load.size(); ++layer) {
    require(load[layer].size() == load.front().size(),
            {.place = source,
             .problem = "layers differ in their experts",
             .found = {load[layer].size(), " loads in row ", layer},
             .expected = {load.front().size(), " as in row 0"}});
    double sum = 0.0;
    for (size_t expert = 0; expert < load[layer].size(); ++expert) {
      const double value = load[layer][expert];
      require(std::isfinite(value) && value >= 0.0,
              {.place = source,
               .problem = "not a load",
               .found = {value, " for expert ", expert, " in row ", layer},
               .expected = "a finite number, 0 or more"});
      sum += value;
    }
    require(std::isfinite(sum), {.place = source,
                                 .problem = "loads too large",
                                 .found = {"a sum beyond 1.8e308 in row ", layer},
                                 .expected = "a finite one",
                                 .advice = "divide all loads by the same number"});
  }
}

void check_placement_shape(int64_t n_layers, int64_t n_experts, const PlacementShape& shape) {
  const auto& [n_replicas, n_groups, n_nodes, n_gpus, policy, as_published] = shape;
  require(n_layers >= 1 && n_experts >= 1, {.field = "n_experts",
                                            .problem = "no experts to place",
                                            .found = {n_layers, " layers of ", n_experts},
                                            .expected = "1 or more"});
  require(n_gpus >= 1 && n_gpus <= kMaxSlots, {.field = "n_gpus",
                                               .problem = "out of range",
                                               .found = n_gpus,
                                               .expected = {"1 to ", kMaxSlots}});
  require(n_nodes >= 1 && n_gpus % n_nodes == 0,
          {.field = "n_nodes",
           .problem = "unequal nodes",
           .found = {n_nodes, " nodes for ", n_gpus, " GPUs"},
           .expected = {"a divisor of ", n_gpus}});
  require(n_groups >= 1 && n_experts % n_groups == 0,
          {.field = "n_groups",
           .problem = "unequal groups",
           .found = {n_groups, " groups of ", n_experts, " experts"},
           .expected = {"a divisor of ", n_experts}});
  require(n_replicas <= kMaxSlots, {.field = "n_replicas",
                                    .problem = "too many",
                                    .found = {n_replicas, " per layer"},
                                    .expected = {"at most ", kMaxSlots}});
  require(n_replicas >= n_experts, {.field = "n_replicas",
                                    .problem = "too few",
                                    .found = {n_replicas, " per layer for ", n_experts, " experts"},
                                    .expected = "one for each at least"});
  const int64_t fitting = round_up(n_replicas, n_gpus);
  require(n_replicas == fitting,
          {.field = "n_replicas",
           .problem = "unequal GPUs",
           .found = {n_replicas, " per layer for ", n_gpus, " GPUs"},
           .expected = {"a multiple of ", n_gpus},
           .advice = {"take ", fitting, ", that is {n_redundant} ", fitting - n_experts}});
  require(n_layers <= kMaxAllSlots / n_replicas, {.field = "n_replicas",
                                                  .problem = "too many in all",
                                                  .found = {n_layers, " layers of ", n_replicas},
                                                  .expected = {"at most ", kMaxAllSlots}});
  require(policy != PlacementPolicy::kHierarchical || n_groups % n_nodes == 0,
          {.field = "policy",
           .problem = "hierarchical placement needs whole groups on every node",
           .found = {n_groups, " groups for ", n_nodes, " nodes"},
           .expected = {"a multiple of ", n_nodes},
           .advice = "take {policy} global"});
}

void check_slot_table(int64_t n_layers, int64_t n_experts, int64_t max_count) {
  require(n_layers * n_experts <= kMaxTableSize / max_count,
          {.field = "n_replicas",
           .problem = "too many copies of one expert",
           .found = {max_count, " in ", n_layers, " layers of ", n_experts,
                     " experts, whose table [layers, experts, copies] would exceed ", kMaxTableSize,
                     " entries"},
           .advice = "take fewer replicas"});
}

bool is_hierarchical(const PlacementShape& shape) {
  if (shape.policy != PlacementPolicy::kAuto) return shape.policy == PlacementPolicy::kHierarchical;
  return shape.n_groups % shape.n_nodes == 0;
}

}  // namespace hadal
