// plan_text/machine_advice.h: a machine plan in sentences: what decides time and memory, and what a
// setting would change. Each knob is turned on the sheet itself, so its effect is computed, not
// guessed.
#pragma once

#include <string>
#include <vector>

#include "hadal/plan/machine.h"

namespace hadal::cli {

struct MachineAdvice {
  bool fits = false;
  std::string memory, time;        // the verdicts
  std::vector<std::string> knobs;  // settings that would help, with their effect
};
MachineAdvice machine_advice(Worksheet& sheet);  // the sheet is as before afterwards

}  // namespace hadal::cli
