#include "hadal/schedule/expert_packing.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <queue>
#include <utility>

namespace hadal {

Packing balanced_packing(const std::vector<double>& weight, int64_t n_packs) {
  const auto n = static_cast<int64_t>(weight.size());
  const int64_t room = n / n_packs;
  Packing packing;
  packing.pack_of.resize(weight.size());
  packing.rank_in_pack.resize(weight.size());
  if (room == 1) {
    std::iota(packing.pack_of.begin(), packing.pack_of.end(), 0);
    return packing;
  }
  std::vector<int32_t> order(weight.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return weight[static_cast<size_t>(a)] > weight[static_cast<size_t>(b)];
  });
  using Open = std::pair<double, int32_t>;  // a pack with room: its weight, its index
  std::priority_queue<Open, std::vector<Open>, std::greater<>> lightest;
  for (int32_t pack = 0; pack < n_packs; ++pack) lightest.emplace(0.0, pack);
  std::vector<int32_t> filled(static_cast<size_t>(n_packs));
  for (const int32_t item : order) {
    const auto [pack_weight, pack] = lightest.top();
    lightest.pop();
    packing.pack_of[static_cast<size_t>(item)] = pack;
    const int32_t rank = filled[static_cast<size_t>(pack)]++;
    packing.rank_in_pack[static_cast<size_t>(item)] = rank;
    if (rank + 1 < room) lightest.emplace(pack_weight + weight[static_cast<size_t>(item)], pack);
  }
  return packing;
}

Replication replicate_experts(const std::vector<double>& weight, int64_t n_replicas) {
  Replication copies;
  copies.expert_of.resize(weight.size());
  std::iota(copies.expert_of.begin(), copies.expert_of.end(), 0);
  copies.rank_of.resize(weight.size());
  copies.count.assign(weight.size(), 1);
  using Share = std::pair<double, int32_t>;  // load per replica, -expert: ties go to the first
  std::priority_queue<Share> largest;
  for (const int32_t expert : copies.expert_of) {
    largest.emplace(weight[static_cast<size_t>(expert)], -expert);
  }
  while (static_cast<int64_t>(copies.expert_of.size()) < n_replicas) {
    const int32_t expert = -largest.top().second;
    largest.pop();
    int32_t& count = copies.count[static_cast<size_t>(expert)];
    copies.expert_of.push_back(expert);
    copies.rank_of.push_back(count++);
    largest.emplace(weight[static_cast<size_t>(expert)] / count, -expert);
  }
  return copies;
}

}  // namespace hadal
