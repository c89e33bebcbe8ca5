#include <csignal>

#include "hadal/cli/commands.h"
#include "hadal/kernels/cpu/simd_limit.h"

int main(int argc, char** argv) {
  // A file size limit is then an error of write(), with a message, and not a death by signal.
  std::signal(SIGXFSZ, SIG_IGN);
  return hadal::cli::run_hadal(hadal::cli::all_commands(), argc, argv,
                               hadal::cpu::limit_simd_from_environment);
}
