#include "hadal/parallel/node_map.h"

#include <algorithm>

#include "hadal/comm/collectives.h"

namespace hadal {

std::vector<int> nodes_by_name(Communicator& group, const std::string& host, Arena& arena) {
  Tensor mine = Tensor::empty(arena, DType::kU8, {std::ssize(host)});
  mine.read_from(host.data());
  std::vector<std::string> names;
  std::vector<int> node_of;
  for (const Tensor& name : start_all_gather(group, mine, arena).finish()) {
    const std::string text(static_cast<const char*>(name.raw()), static_cast<size_t>(name.size()));
    const auto known = std::ranges::find(names, text);
    node_of.push_back(static_cast<int>(known - names.begin()));
    if (known == names.end()) names.push_back(text);
  }
  return node_of;
}

}  // namespace hadal
