// parallel/trace_gather.h: traces of all ranks on the first rank, on its clock.
#pragma once

#include "hadal/core/clock.h"
#include "hadal/core/function_ref.h"
#include "hadal/parallel/run_trace.h"

namespace hadal {

struct GatheredTraces {
  std::vector<RunTrace> ranks;  // of the world; empty but on the first rank
  double clock_error = 0;       // half the shortest round trip of the worst rank, seconds
};
// All ranks together. now: the clock that the rank's times are of. Clocks are compared by messages there and back: the one that took the shortest time
// came back halfway, give or take half that time.
GatheredTraces gather_traces(
    Communicator& world, const RunTrace& mine, Arena& arena,
    FunctionRef<double()> now = [] { return monotonic_seconds(); });

}  // namespace hadal
