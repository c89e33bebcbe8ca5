// train/expert_balance.h: auxiliary-loss-free balancing (arXiv:2408.15664), and how uneven a load is.
#pragma once

#include <cstdint>
#include <span>

#include "hadal/tensor/param.h"

namespace hadal {

// route_bias_i += gamma * sign(mean load - load_i), sign(0) = 0. `load` is the whole global batch's.
void update_route_bias(Param& route_bias, std::span<const int64_t> load, float gamma);
// max_i load_i / mean load - 1; 0 for an empty load
double max_violation(std::span<const int64_t> load);

}  // namespace hadal
