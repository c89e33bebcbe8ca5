// reproduce/expert_choices.h: which experts a model chooses for given tokens.
#pragma once

#include <span>
#include <vector>

#include "hadal/model/deepseek_v3.h"

namespace hadal {

using ExpertCounts = std::vector<std::vector<int64_t>>;  // [layers][E], empty rows: dense layers

// Adds the choices that the main model makes for sequences of `length` tokens each.
void add_choices(Context& ctx, const DeepseekV3& model, std::span<const int32_t> tokens,
                 int64_t length, ExpertCounts& counts);

}  // namespace hadal
