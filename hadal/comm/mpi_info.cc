#include "hadal/comm/mpi_info.h"

#include <mpi.h>

#include <algorithm>

#include "hadal/comm/mpi_ranks.h"

namespace hadal {

MpiInfo ask_mpi() {
  const LaunchedAs launched = launched_as();
  char text[MPI_MAX_LIBRARY_VERSION_STRING];
  int length = 0;
  MPI_Get_library_version(text, &length);  // may be asked at any time
  std::string library(text, static_cast<size_t>(length));
  library.resize(std::min(library.find_first_of(",\n"), library.size()));
  return {true, library, launched.rank, launched.n_ranks};
}

}  // namespace hadal
