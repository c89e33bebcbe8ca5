// cli/sweep_axis.h: the values of a cell as an option says them.
//
//   NAME=1,2,4          a list
//   NAME=1:9:5          from 1 to 9 in 5 steps of equal difference: 1 3 5 7 9
//   NAME=1:16:x2        from 1 to 16, each twice the one before: 1 2 4 8 16
#pragma once

#include <string>

#include "hadal/plan/sweep.h"

namespace hadal::cli {

// `option` names the option in errors. ConfigError: no name, an empty list, what is no number, a
// range that never ends, or more than 1,000 values.
SweepAxis parse_sweep_axis(const std::string& text, const std::string& option);

}  // namespace hadal::cli
