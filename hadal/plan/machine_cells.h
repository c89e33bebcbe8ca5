// plan/machine_cells.h: the parts of a plan for one computer (plan/machine.h).
#pragma once

#include "hadal/plan/worksheet.h"

namespace hadal {

void add_machine_memory(Worksheet& sheet);  // section "memory"; reads the model and the run

}  // namespace hadal
