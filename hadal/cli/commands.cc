#include "hadal/cli/commands.h"

namespace hadal::cli {

std::vector<Command> all_commands() {
  return {
      make_completion_command(),
  };
}

}  // namespace hadal::cli
