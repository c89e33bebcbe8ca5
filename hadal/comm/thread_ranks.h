// comm/thread_ranks.h: ranks as threads of one process. Messages change hands, nothing is copied.
#pragma once

#include <functional>

#include "hadal/comm/communicator.h"
#include "hadal/comm/slow_link.h"

namespace hadal {

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
