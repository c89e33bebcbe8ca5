// spread/expert_share.h: the part of a model that one of several ranks holds when they share its experts:
// everything but the routed experts of other ranks (report section 3.4).
#pragma once

#include "hadal/model/held_part.h"

namespace hadal {

// ConfigError unless the ranks divide the routed experts; one rank holds all.
HeldPart share_of_experts(const ModelConfig& config, int n_ranks, int rank);

}  // namespace hadal
