// measure/rank_links.h: what the ranks of a job are, and how fast their messages are.
#pragma once

#include <vector>

#include "hadal/comm/communicator.h"
#include "hadal/measure/doctor.h"

namespace hadal {

struct RankLink {
  int from = 0, to = 0;         // neighbours: to = from + 1
  double latency_seconds = 0;   // of a message of 8 bytes, one way
  double bytes_per_second = 0;  // of one of 8 MiB, one way
};
// Pair after pair, for some milliseconds each. All ranks call it together; rank 0 gets all links, the
// others none.
std::vector<RankLink> measure_rank_links(Communicator& comm, Arena& arena);

// The ranks with their hosts and threads, and every link. All ranks call it together; rank 0 gets it.
std::vector<Check> examine_ranks(Communicator& comm, int n_threads, Arena& arena);

}  // namespace hadal
