#include "hadal/parallel/layout.h"

namespace hadal {

RankCoordinates coordinates_of(const ParallelConfig& config, int rank) {
  return {rank / config.data, rank % config.data};
}

int world_rank_of(const ParallelConfig& config, RankCoordinates at) {
  return at.place * config.data + at.replica;
}

RankGroups::RankGroups(const ParallelConfig& config, Communicator& all)
    : world(all), at(coordinates_of(config, all.rank())) {
  for (int32_t place = 0; place < config.pipeline; ++place) {
    places.push_back(world_rank_of(config, {place, at.replica}));
  }
  const int32_t first = at.expert_group(config) * config.expert;
  for (int32_t index = 0; index < config.expert; ++index) {
    experts.push_back(world_rank_of(config, {at.place, first + index}));
  }
  pipeline = world.group(places);
  expert = world.group(experts);
}

}  // namespace hadal
