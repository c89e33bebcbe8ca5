// comm/mpi_info.h: what this build and this process know of MPI. Built with HADAL_MPI the answer
// comes from the library (comm/mpi_info.cc), else from comm/no_mpi.cc.
#pragma once

#include <string>

namespace hadal {

struct MpiInfo {
  bool built_in = false;
  std::string library;  // as the library names itself; why there is none otherwise
  int rank = 0, n_ranks = 1;
};

// MPI is not started: the rank is what the launcher says (launched_as).
MpiInfo ask_mpi();

}  // namespace hadal
