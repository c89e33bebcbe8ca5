#include "hadal/cli/command.h"

int main(int argc, char** argv) { return hadal::cli::run_hadal(argc, argv); }
