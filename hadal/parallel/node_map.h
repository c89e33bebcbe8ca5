// parallel/node_map.h: which ranks share a host, and so fast links.
#pragma once

#include <string>
#include <vector>

#include "hadal/comm/communicator.h"

namespace hadal {

// [ranks] The node of each rank of the group, numbered in order of their first ranks, from the names that
// the ranks' hosts have. All ranks together.
std::vector<int> nodes_by_name(Communicator& group, const std::string& host, Arena& arena);

}  // namespace hadal
