// cli/commands.h: one maker per command; cli/commands.cc lists them in the order of --help.
#pragma once

#include "hadal/cli/command.h"

namespace hadal::cli {

Command make_completion_command();

}  // namespace hadal::cli
