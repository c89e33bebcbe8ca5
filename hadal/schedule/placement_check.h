// schedule/placement_check.h: what the placement of experts refuses, in words that name the option.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hadal/schedule/expert_placement.h"

namespace hadal {

// ConfigError unless every layer has the same number of experts and all loads are finite, not
// negative, and have a finite sum. `source` stands in front: a file or an option.
void check_expert_load(const std::vector<std::vector<double>>& load,
                       const std::string& source = "load");
void check_placement_shape(int64_t n_layers, int64_t n_experts, const PlacementShape& shape);
// slots_of_expert [L][N][max count] is padded: many copies of one expert make it large.
void check_slot_table(int64_t n_layers, int64_t n_experts, int64_t max_count);
// What the policy comes to for this shape.
bool is_hierarchical(const PlacementShape& shape);

}  // namespace hadal
