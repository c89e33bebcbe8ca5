#include "hadal/data/added_token_matcher.h"

#include <algorithm>
#include <cstring>
#include <string>

namespace hadal {

AddedTokenMatcher::AddedTokenMatcher(const std::vector<AddedToken>& tokens) {
  if (tokens.empty()) return;
  std::vector<const AddedToken*> sorted;
  for (const AddedToken& token : tokens) sorted.push_back(&token);
  std::sort(sorted.begin(), sorted.end(),
            [](const auto* a, const auto* b) { return a->content < b->content; });
  // Breadth first over ranges of the sorted list: the edges of a node come out together.
  struct Range {
    size_t begin, end, depth;
  };
  std::vector<Range> ranges{{0, sorted.size(), 0}};
  nodes_.emplace_back();
  for (size_t node = 0; node < ranges.size(); ++node) {
    const auto [begin, end, depth] = ranges[node];
    nodes_[node].first_edge = static_cast<uint32_t>(edges_.size());
    for (size_t i = begin; i < end;) {
      const std::string& content = sorted[i]->content;
      if (content.size() == depth) {
        nodes_[node].id = sorted[i++]->id;
        continue;
      }
      size_t same = i + 1;
      while (same < end && sorted[same]->content[depth] == content[depth]) ++same;
      edges_.push_back(
          {static_cast<uint8_t>(content[depth]), static_cast<uint32_t>(nodes_.size())});
      ++nodes_[node].n_edges;
      nodes_.emplace_back();
      ranges.push_back({i, same, depth + 1});
      i = same;
    }
  }
  for (uint32_t i = 0; i < nodes_[0].n_edges; ++i) starts_[edges_[i].byte] = true;
  if (nodes_[0].n_edges == 1) only_start_ = edges_[0].byte;
}

uint32_t AddedTokenMatcher::step(uint32_t node, char byte) const {
  const Edge* first = edges_.data() + nodes_[node].first_edge;
  const Edge* last = first + nodes_[node].n_edges;
  const auto wanted = static_cast<uint8_t>(byte);
  const Edge* edge =
      std::lower_bound(first, last, wanted, [](const Edge& e, uint8_t b) { return e.byte < b; });
  return edge != last && edge->byte == wanted ? edge->node : 0;
}

size_t AddedTokenMatcher::next_start(std::string_view text, size_t from) const {
  if (from >= text.size()) return text.size();
  if (only_start_ >= 0) {
    const void* found = std::memchr(text.data() + from, only_start_, text.size() - from);
    if (found == nullptr) return text.size();
    return static_cast<size_t>(static_cast<const char*>(found) - text.data());
  }
  while (from < text.size() && !starts_[static_cast<uint8_t>(text[from])]) ++from;
  return from;
}

std::optional<AddedTokenMatcher::Match> AddedTokenMatcher::find(std::string_view text,
                                                                size_t from) const {
  if (empty()) return std::nullopt;
  for (size_t at = next_start(text, from); at < text.size(); at = next_start(text, at + 1)) {
    std::optional<Match> longest;
    uint32_t node = 0;
    for (size_t i = at; i < text.size() && (node = step(node, text[i])) != 0; ++i) {
      if (nodes_[node].id >= 0) longest = Match{at, i + 1 - at, nodes_[node].id};
    }
    if (longest) return longest;
  }
  return std::nullopt;
}

}  // namespace hadal
