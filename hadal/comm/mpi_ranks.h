// comm/mpi_ranks.h: ranks as processes that mpirun or srun started. In a build without MPI
// (comm/no_mpi.cc) there is one rank, and being started by a launcher with several is Unavailable.
#pragma once

#include <functional>

#include "hadal/comm/communicator.h"
#include "hadal/comm/slow_link.h"

namespace hadal {

// Whether a launcher started this process as one of several, by what launchers leave in the environment
// (OpenMPI, MPICH's Hydra, Slurm). Asks nobody; MPI is not started.
struct LaunchedAs {
  bool by_launcher = false;
  int rank = 0, n_ranks = 1;
  int local_rank = 0, n_local_ranks = 1;  // on this host
};
LaunchedAs launched_as();
// Of the threads asked for, this process's: processes of one host share its cores, unless the launcher has
// bound each to its own.
int threads_of_process(const LaunchedAs& launched, int threads);

// Starts MPI, runs body as this process's rank, ends MPI. Once a process, from the main thread. A process
// that no launcher started is one rank alone, and MPI is not started, for that takes most of a second.
// If body throws, its error is printed with the rank before it and the whole job ends (MPI_Abort) with
// the error's exit code. Arenas of messages must outlive the call: one may still leave when body returns.
// Unavailable: the launcher's processes do not know each other, being started for another MPI.
void run_mpi_rank(double patience_seconds, const std::function<void(Communicator&)>& body,
                  const SlowLink& link = {});

}  // namespace hadal
