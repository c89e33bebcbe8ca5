// parallel/layout.h: which rank holds and computes what (arXiv:2412.19437 section 3.2).
//
// P pipeline ranks in each of D data-parallel replicas. Experts are spread over E of those D replicas, at
// the same place of the pipeline: E divides D, and D/E replicas of the expert groups hold the same
// experts. There is no tensor parallelism. World ranks count the replica fastest, so that the ranks of
// an expert group, which talk most, are neighbours:
//
//   world rank = place * D + replica        expert group of a rank = replica / E, its index in it = replica % E
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "hadal/comm/communicator.h"
#include "hadal/schedule/schedule.h"

namespace hadal {

struct ParallelConfig {  // [parallel]
  int32_t pipeline = 1, data = 1, expert = 1;
  ScheduleKind schedule = ScheduleKind::k1F1B;
  int32_t stages_per_rank = kInterleavedStages;
  std::vector<int64_t> layers_of_stages = {};  // empty: as even as they go
  int64_t n_ranks() const { return int64_t{pipeline} * data; }
};

struct RankCoordinates {
  int32_t place = 0, replica = 0;
  int32_t expert_group(const ParallelConfig& config) const { return replica / config.expert; }
  int32_t expert_index(const ParallelConfig& config) const { return replica % config.expert; }
};
RankCoordinates coordinates_of(const ParallelConfig& config, int rank);
int world_rank_of(const ParallelConfig& config, RankCoordinates at);

// The communicators of one rank. Made by all ranks together.
struct RankGroups {
  RankGroups(const ParallelConfig& config, Communicator& world);
  Communicator& world;
  RankCoordinates at;
  std::vector<int> places, experts;        // world ranks of the two below
  std::unique_ptr<Communicator> pipeline;  // the P places of this replica, in order of place
  std::unique_ptr<Communicator> expert;    // the E replicas that share the experts of this place
};

}  // namespace hadal
