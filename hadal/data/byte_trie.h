// data/byte_trie.h: a set of byte strings, each with a number, walked one byte at a time.
//
// Nodes are numbered breadth first, so the children of a node stand together and in the order of
// their labels, and one word per node says where they begin.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace hadal {

class ByteTrie {
 public:
  using Entry = std::pair<std::string_view, int32_t>;
  static constexpr uint32_t kRoot = 0;
  static constexpr uint32_t kNone = 0;  // no edge leads back to the root

  ByteTrie() = default;
  explicit ByteTrie(const std::vector<Entry>& sorted);  // REQUIRES ascending, distinct, none empty

  uint32_t step(uint32_t node, char byte) const {
    const auto wanted = static_cast<uint8_t>(byte);
    uint32_t low = nodes_[node].first_child, high = nodes_[node + 1].first_child;
    while (high - low > 4) {
      const uint32_t middle = (low + high) / 2;
      if (labels_[middle] <= wanted) {
        low = middle;
      } else {
        high = middle;
      }
    }
    for (; low < high; ++low) {
      if (labels_[low] == wanted) return low;
    }
    return kNone;
  }
  int32_t number(uint32_t node) const { return nodes_[node].number; }  // -1: no string ends here
  bool empty() const { return labels_.size() <= 1; }
  std::string_view first_bytes() const {  // of all strings, ascending
    return {reinterpret_cast<const char*>(labels_.data()) + 1, nodes_[1].first_child - 1};
  }

 private:
  struct Node {
    uint32_t first_child;  // one past the last is the next node's
    int32_t number;
  };
  std::vector<Node> nodes_ = {{1, -1}, {1, -1}};  // and an end mark
  std::vector<uint8_t> labels_ = {0};             // of the edge to each node
};

}  // namespace hadal
