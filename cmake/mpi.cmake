# hadal_mpi: the MPI library, where HADAL_MPI wants it; no such target otherwise. The sanitizers would see
# the library's own leaks and races.
if(HADAL_MPI STREQUAL "AUTO" AND NOT HADAL_SANITIZE)
  find_package(MPI COMPONENTS CXX QUIET)
elseif(HADAL_MPI AND NOT HADAL_MPI STREQUAL "AUTO")
  find_package(MPI REQUIRED COMPONENTS CXX)
endif()
if(MPI_CXX_FOUND)
  add_library(hadal_mpi INTERFACE)
  # The C interface alone: OpenMPI's old C++ one is neither declared nor loaded.
  target_compile_definitions(hadal_mpi INTERFACE OMPI_SKIP_MPICXX MPICH_SKIP_MPICXX)
  target_link_libraries(hadal_mpi INTERFACE MPI::MPI_CXX)
  target_link_options(hadal_mpi INTERFACE -Wl,--as-needed)
endif()
