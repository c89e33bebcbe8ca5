#include "hadal/comm/mpi_ranks.h"

#include <cstdlib>

#include "hadal/comm/mpi_transport.h"
#include "hadal/comm/rank_group.h"
#include "hadal/comm/thread_ranks.h"
#include "hadal/core/log.h"

namespace hadal {
namespace {

void start_mpi(const LaunchedAs& launched) {
  int level = MPI_THREAD_SINGLE, n_ranks = 0;
  check_mpi(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &level), "MPI_Init_thread");
  check_mpi(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  if (level < MPI_THREAD_SERIALIZED) {
    throw Unavailable("MPI: this library allows one thread only; use one built with threads");
  }
  check_mpi(MPI_Comm_size(MPI_COMM_WORLD, &n_ranks), "MPI_Comm_size");
  if (launched.by_launcher && launched.n_ranks != n_ranks) {
    throw Unavailable(concat(
        "MPI: the launcher started ", launched.n_ranks, " processes, and this one finds ", n_ranks,
        "; use the launcher of the MPI that hadal is built with, or srun with pmix or pmi2"));
  }
}

// The cause first, then the rest of the job ends.
[[noreturn]] void abort_job(const MpiTransport& transport, const std::string& what, int exit_code) {
  const std::string me = concat("rank ", transport.rank());
  const bool says_who = what.starts_with(me + " (") || what.starts_with(me + ":");
  log_line("error: ", says_who ? what : concat(me, " (", transport.place(), "): ", what));
  MPI_Abort(MPI_COMM_WORLD, exit_code);
  std::_Exit(exit_code);
}

}  // namespace

void run_mpi_rank(double patience_seconds, const std::function<void(Communicator&)>& body,
                  const SlowLink& link) {
  const LaunchedAs launched = launched_as();
  // A launcher that we do not know may speak PMIx; then MPI knows how many there are.
  if (!launched.by_launcher && std::getenv("PMIX_RANK") == nullptr) {
    return run_thread_ranks({1, patience_seconds, {}}, body);
  }
  start_mpi(launched);
  {
    MpiTransport transport(patience_seconds, link);
    try {
      RankGroup communicator(transport);
      body(communicator);
      communicator.finish_sends();
    } catch (const Error& error) {
      abort_job(transport, error.what(), error.exit_code());
    } catch (const std::exception& error) {
      abort_job(transport, error.what(), 1);
    }
  }
  check_mpi(MPI_Finalize(), "MPI_Finalize");
}

}  // namespace hadal
