#include "hadal/data/byte_trie.h"

namespace hadal {

ByteTrie::ByteTrie(const std::vector<Entry>& sorted) {
  struct Range {  // the strings that begin with the `depth` bytes leading to a node
    uint32_t begin, end, depth;
  };
  std::vector<Range> ranges{{0, static_cast<uint32_t>(sorted.size()), 0}};
  nodes_.clear();
  for (size_t node = 0; node < ranges.size(); ++node) {
    auto [begin, end, depth] = ranges[node];
    int32_t number = -1;
    if (begin < end && sorted[begin].first.size() == depth) number = sorted[begin++].second;
    nodes_.push_back({static_cast<uint32_t>(ranges.size()), number});
    while (begin < end) {
      const char label = sorted[begin].first[depth];
      uint32_t same = begin + 1;
      while (same < end && sorted[same].first[depth] == label) ++same;
      labels_.push_back(static_cast<uint8_t>(label));
      ranges.push_back({begin, same, depth + 1});
      begin = same;
    }
  }
  nodes_.push_back({static_cast<uint32_t>(ranges.size()), -1});
}

}  // namespace hadal
