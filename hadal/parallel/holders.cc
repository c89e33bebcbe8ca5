#include "hadal/parallel/holders.h"

#include <map>

#include "hadal/parallel/expert_dispatcher.h"

namespace hadal {
namespace {

// What one place of the pipeline holds, of all experts.
HeldPart part_of_place(const CutModel& model, size_t place) {
  std::vector<StageCut> cuts;
  for (const int32_t stage : model.schedule.held[place]) {
    cuts.push_back(model.cuts[static_cast<size_t>(stage)]);
  }
  return part_of_stages(model.config, cuts, {0, model.config.router.n_routed_experts});
}

class GroupTable {
 public:
  size_t index_of(const std::vector<int>& ranks) {
    const auto [it, is_new] = numbers_.try_emplace(ranks, groups_.size());
    if (is_new) groups_.push_back(ranks);
    return it->second;
  }
  std::vector<std::vector<int>> take() { return std::move(groups_); }

 private:
  std::map<std::vector<int>, size_t> numbers_;
  std::vector<std::vector<int>> groups_;
};

}  // namespace

HeldPart part_of_rank(const ParallelConfig& config, const CutModel& model, int rank) {
  const RankCoordinates at = coordinates_of(config, rank);
  HeldPart part = part_of_place(model, static_cast<size_t>(at.place));
  part.experts =
      experts_of_rank(model.config.router.n_routed_experts, config.expert, at.expert_index(config));
  return part;
}

Holders holders_of(const ParallelConfig& config, const CutModel& model) {
  std::vector<HeldPart> places;
  for (size_t place = 0; place < model.schedule.held.size(); ++place) {
    places.push_back(part_of_place(model, place));
  }
  const int64_t share =
      experts_of_rank(model.config.router.n_routed_experts, config.expert, 0).size();
  Holders holders;
  GroupTable groups;
  Arena unused;
  DeepseekV3 shapes = make_model(model.config, unused);
  for (const NamedParam& each : named_params(shapes)) {
    std::vector<int> ranks;
    for (int32_t place = 0; place < config.pipeline; ++place) {
      if (!places[static_cast<size_t>(place)].holds(each.place)) continue;
      for (int32_t replica = 0; replica < config.data; ++replica) {
        const RankCoordinates at{place, replica};
        const int64_t expert = each.place.expert;
        if (expert >= 0 && at.expert_index(config) != expert / share) continue;
        ranks.push_back(world_rank_of(config, at));
      }
    }
    holders.group_of.push_back(groups.index_of(ranks));
  }
  holders.groups = groups.take();
  return holders;
}

}  // namespace hadal
