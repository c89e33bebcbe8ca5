#include <csignal>

#include "hadal/cli/commands.h"

int main(int argc, char** argv) {
  // A file size limit is then an error of write(), with a message, and not a death by signal.
  std::signal(SIGXFSZ, SIG_IGN);
  return hadal::cli::run_hadal(hadal::cli::all_commands(), argc, argv);
}
