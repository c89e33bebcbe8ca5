#include "hadal/comm/mpi_info.h"
#include "hadal/comm/mpi_ranks.h"
#include "hadal/comm/thread_ranks.h"

namespace hadal {

MpiInfo ask_mpi() {
  return {false, "not in this build (libopenmpi-dev, then cmake --preset mpi)", 0, 1};
}

void run_mpi_rank(double patience_seconds, const std::function<void(Communicator&)>& body,
                  const SlowLink&) {
  const LaunchedAs launched = launched_as();
  if (launched.n_ranks > 1) {
    throw Unavailable(concat("MPI: not in this build, and this is one of ", launched.n_ranks,
                             " processes; build with cmake --preset mpi, or start one"));
  }
  run_thread_ranks({1, patience_seconds, {}}, body);
}

}  // namespace hadal
