// comm/thread_ranks.h: ranks as threads of one process. Messages change hands, nothing is copied.
#pragma once

#include <functional>

#include "hadal/comm/communicator.h"

namespace hadal {

// A network that is slower than memory, for measuring how much of it is hidden: a message can be had
// `latency_seconds` + bytes / `bytes_per_second` after it was sent, one after the other on each link
// between two ranks. Without numbers it is there at once.
struct SlowLink {
  double latency_seconds = 0.0;
  double bytes_per_second = 0.0;  // 0: no limit
};

struct ThreadRanks {
  int n_ranks = 1;
  double patience_seconds = 600.0;  // how long a wait waits
  SlowLink link = {};
};

// Runs body on n_ranks threads and returns when all have ended. Where some throw, the others' waits end
// and the cause is rethrown: what the first rank to fail threw, not the CommErrors that followed from it.
// Arenas of ranks must outlive the call: a message may die on another rank than it was made on.
void run_thread_ranks(const ThreadRanks& ranks, const std::function<void(Communicator&)>& body);

}  // namespace hadal
