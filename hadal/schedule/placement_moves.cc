#include "hadal/schedule/placement_moves.h"

#include <algorithm>
#include <map>
#include <utility>

namespace hadal {
namespace {

using Slots = std::vector<int32_t>;

// What each GPU holds, in order of its slots.
std::vector<Slots> by_gpu(const Slots& placement, int64_t n_gpus) {
  const auto size = static_cast<std::ptrdiff_t>(placement.size()) / n_gpus;
  std::vector<Slots> held;
  for (auto at = placement.begin(); at != placement.end(); at += size)
    held.emplace_back(at, at + size);
  return held;
}

bool has(const Slots& held, int32_t expert) {
  return std::ranges::find(held, expert) != held.end();
}

int64_t n_shared(const Slots& next, const Slots& current) {
  return std::ranges::count_if(next, [&](int32_t expert) { return has(current, expert); });
}

// Experts that a slot held before keep it; the others take the free slots in order.
Slots in_old_slots(const Slots& next, const Slots& current) {
  constexpr int32_t kFree = -1;
  Slots placed(next.size(), kFree), rest = next;
  for (size_t slot = 0; slot < std::min(placed.size(), current.size()); ++slot) {
    const auto found = std::ranges::find(rest, current[slot]);
    if (found == rest.end()) continue;
    placed[slot] = *found;
    rest.erase(found);
  }
  auto from = rest.begin();
  for (int32_t& slot : placed) {
    if (slot == kFree) slot = *from++;
  }
  return placed;
}

}  // namespace

std::vector<int32_t> stay_in_place(const std::vector<int32_t>& next,
                                   const std::vector<int32_t>& current, int64_t n_gpus,
                                   int64_t n_nodes) {
  const std::vector<Slots> packs = by_gpu(next, n_gpus), held = by_gpu(current, n_gpus);
  struct Pair {
    int64_t shared;
    size_t pack, gpu;
  };
  std::vector<Pair> pairs;
  const auto per_node = static_cast<size_t>(n_gpus / n_nodes);
  for (size_t pack = 0; pack < packs.size(); ++pack) {
    const size_t first = pack / per_node * per_node;
    for (size_t gpu = first; gpu < first + per_node; ++gpu) {
      pairs.push_back({n_shared(packs[pack], held[gpu]), pack, gpu});
    }
  }
  std::ranges::stable_sort(pairs, std::ranges::greater{}, &Pair::shared);
  std::vector<bool> pack_taken(packs.size(), false);
  std::vector<Slots> placed(packs.size());
  for (const Pair& pair : pairs) {
    if (pack_taken[pair.pack] || !placed[pair.gpu].empty()) continue;
    pack_taken[pair.pack] = true;
    placed[pair.gpu] = in_old_slots(packs[pair.pack], held[pair.gpu]);
  }
  Slots result;
  for (const Slots& slots : placed) result.insert(result.end(), slots.begin(), slots.end());
  return result;
}

std::vector<ExpertMove> moves_between(const std::vector<int32_t>& current,
                                      const std::vector<int32_t>& next, int64_t n_gpus) {
  const std::vector<Slots> held = by_gpu(current, n_gpus), wanted = by_gpu(next, n_gpus);
  std::map<int32_t, std::vector<int32_t>> holders;  // of each expert, ascending
  for (size_t gpu = 0; gpu < held.size(); ++gpu) {
    for (const int32_t expert : held[gpu]) {
      std::vector<int32_t>& list = holders[expert];
      const auto id = static_cast<int32_t>(gpu);
      if (list.empty() || list.back() != id) list.push_back(id);
    }
  }
  std::map<int32_t, size_t> n_sent;
  std::vector<ExpertMove> moves;
  for (size_t gpu = 0; gpu < wanted.size(); ++gpu) {
    Slots got;
    for (const int32_t expert : wanted[gpu]) {
      if (has(held[gpu], expert) || has(got, expert)) continue;
      got.push_back(expert);
      const std::vector<int32_t>& from = holders.at(expert);
      moves.push_back({expert, from[n_sent[expert]++ % from.size()], static_cast<int32_t>(gpu)});
    }
  }
  return moves;
}

}  // namespace hadal
