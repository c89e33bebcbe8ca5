#include "hadal/core/host_name.h"

#include <limits.h>
#include <unistd.h>

namespace hadal {

std::string host_name() {
  char name[HOST_NAME_MAX + 1] = {};
  if (gethostname(name, sizeof(name) - 1) != 0) return "";
  return name;
}

}  // namespace hadal
