// plan_text/explain_text.h: the derivation of a cell, for people: down to its inputs, each once, indented
// by depth.
//
//   cost = 3000 USD  [derived]
//     = hours * price
//     = 1500 * 2
//     hours = 1.500K GPU-hours  (1500)  [published]  a report
//     price = 2 USD/GPU-hour  [assumed]  a guess
//   rests on
//     published  hours
//     assumed    price
#pragma once

#include <string>

#include "hadal/plan/worksheet.h"

namespace hadal::cli {

std::string explain_text(const Worksheet& sheet, const std::string& name);

}  // namespace hadal::cli
