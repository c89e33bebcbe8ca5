#include "hadal/comm/mpi_info.h"

#include <mpi.h>

#include "hadal/core/error.h"

namespace hadal {

MpiInfo ask_mpi() {
  if (MPI_Init(nullptr, nullptr) != MPI_SUCCESS) throw Unavailable("MPI: cannot be started");
  MpiInfo info;
  info.built_in = true;
  MPI_Comm_rank(MPI_COMM_WORLD, &info.rank);
  MPI_Comm_size(MPI_COMM_WORLD, &info.n_ranks);
  char text[MPI_MAX_LIBRARY_VERSION_STRING];
  int length = 0;
  MPI_Get_library_version(text, &length);
  const std::string full(text, static_cast<size_t>(length));
  info.library = full.substr(0, full.find_first_of(",\n"));
  MPI_Finalize();
  return info;
}

}  // namespace hadal
