// tests/comm/scenarios.h: what ranks do with each other, whatever carries their messages. Threads run
// them in thread_ranks_test.cc, processes in ../mpi/mpi_scenarios.cc. A scenario throws where anything
// is not as it must be.
#pragma once

#include <span>

#include "hadal/comm/communicator.h"

namespace hadal::test {

struct Scenario {
  const char* name;
  void (*run)(Communicator& comm, Arena& arena, uint64_t seed);
};
std::span<const Scenario> scenarios();

}  // namespace hadal::test
